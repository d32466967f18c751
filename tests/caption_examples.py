"""Twenty images nobody took, five captions each, and a hypothesis for each; references vary in number where
`VARIED` is used.
"""

CAPTIONS = (
    (
        "A brown dog runs across a wet beach.", "The dog's paws splash through shallow water.",
        "A dog running along the shore", "A happy dog races by the sea!", "Brown dog on a beach, running.",
    ),
    (
        "Two boys kick a red ball in a park.", "Two children play soccer on the grass.",
        "Boys are playing with a ball", "The boys' game of football in a green park.",
        "Two young boys chasing a red ball .",
    ),
    (
        "A woman in a yellow coat waits for a bus.", "A lady stands at the bus stop in the rain.",
        "The woman isn't under an umbrella.", "Someone wearing a yellow raincoat by the road",
        "A woman waiting at a bus stop.",
    ),
    (
        "An old man reads a newspaper on a bench.", "A man sits on a park bench reading.",
        "Elderly man with a newspaper", "An old man who's reading the paper on a wooden bench.",
        "A gray-haired man reads on a bench.",
    ),
    (
        "A black-and-white cat sleeps on a sofa.", "The cat lies on a blue couch.",
        "A cat asleep on the cushions", "A cat, black and white, is sleeping on the sofa.",
        "A sleeping cat on a couch.",
    ),
    (
        "Three people climb a snowy mountain.", "Climbers walk up a steep hill in the snow.",
        "Three hikers on a mountain covered with snow", "People climbing a white slope with ropes.",
        "A group of three climbers in the mountains.",
    ),
    (
        "A chef slices 3.5 pounds of tomatoes.", "A cook cuts tomatoes in a kitchen.",
        "The chef's knife goes through a red tomato.", "A man in white chopping vegetables",
        "A person is slicing tomatoes on a board.",
    ),
    (
        "A girl blows out candles on a cake.", "The birthday girl leans over a chocolate cake.",
        "A little girl and her cake with candles", "A girl is blowing out five candles.",
        "A child can't blow out the candles on her cake.",
    ),
    (
        "A train crosses an old stone bridge.", "The red train goes over the river.", "A train on a bridge",
        "A long train passes over a high bridge made of stone.", "A red passenger train crossing a bridge.",
    ),
    (
        "Musicians play guitars on a dark stage.", "A band performs at night.",
        "Two guitarists and a drummer on stage", "The band is playing rock 'n' roll for a crowd.",
        "A rock band plays on a stage with lights.",
    ),
    (
        "A cyclist jumps over a dirt hill.", "A man on a bike flies through the air.",
        "A boy does a trick on his bicycle", "A biker in a helmet jumps his BMX bike.",
        "A person jumping a bike over a mound of dirt.",
    ),
    (
        "A farmer leads 2 horses to the barn.", "Two brown horses follow a man.",
        "A man walking with horses on a farm", "The farmer's horses walk beside him.",
        "A man in a hat leads two horses.",
    ),
    (
        "A surfer rides a big wave.", "A man surfs on a white board.", "Surfer in a wet suit on a wave",
        "A person is surfing in the ocean.", "The surfer's riding a huge blue wave.",
    ),
    (
        "People eat lunch at tables outside a cafe.", "Customers sit outdoors at a restaurant.",
        "A busy street cafe", "A group of people eating and talking at tables.",
        "Diners outside a small café on a sunny day.",
    ),
    (
        "A baby plays with wooden blocks.", "The baby sits on a rug with toys.",
        "A toddler stacks up blocks", "A small child is playing with colorful blocks on the floor.",
        "A baby holding a block.",
    ),
    (
        "A painter stands on a ladder.", "A man paints the side of a white house.",
        "A worker with a brush on a ladder", "A man on a ladder is painting a wall.",
        "Painter working on a house (outside).",
    ),
    (
        "Children jump into a swimming pool.", "Kids leap into the water.", "Four kids jumping into a pool",
        "The children are jumping into the swimming pool together.", "A splash as children jump in a pool!",
    ),
    (
        "A bird sits on a branch.", "A small blue bird in a tree.", "Bird on a thin branch",
        "A blue bird's perched on a branch of a tree.", "The little bird is sitting on a twig.",
    ),
    (
        "A crowd watches fireworks over the city.", "Fireworks light up the night sky.",
        "People looking at fireworks at night", "Colorful fireworks above tall buildings.",
        "A big crowd of 1,000 people watching fireworks.",
    ),
    (
        "A skateboarder slides down a rail.", "A teen does a skateboard trick on stairs.",
        "A boy on a skateboard", "The boy grinds a metal rail on his skateboard.",
        "A skateboarder in a black T-shirt jumps the stairs.",
    ),
)  # fmt: skip
HYPOTHESES = (
    "a dog runs on the beach", "two boys play soccer in a park",
    "a woman in a yellow coat is standing at a bus stop", "an old man sits on a bench",
    "a cat is sleeping on a couch", "a man is climbing a mountain", "a man in a kitchen",
    "a little girl is blowing out candles on a birthday cake",
    "A red train crossing a bridge.", "a band plays on stage", "a man jumps his bike over a hill of dirt",
    "two horses run in a field", "a surfer rides a wave",
    "a group of people sit at tables outside a restaurant", "a baby plays with blocks blocks blocks",
    "a man on a ladder is painting a house",
    "children are jumping into a pool", "a bird", "people watch the fireworks at night", "a dog",
)  # fmt: skip

VARIED = tuple(captions[: 1 + number % 5] for number, captions in enumerate(CAPTIONS))
