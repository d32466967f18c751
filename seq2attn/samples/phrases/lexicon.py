"""The words of the phrases: English and French lemmas, their gender, meaning (as classes) and use.

Each English word has exactly one translation in each construction, so that the English sentence determines
the French one. This module knows no word forms except irregular plurals, and no sentences.
"""

from dataclasses import dataclass

from seq2attn.samples.phrases import english as en
from seq2attn.samples.phrases import french as fr
from seq2attn.samples.phrases.tables import among, listed, rows


@dataclass(frozen=True)
class Noun:
    english: str
    english_plural: str
    french: str
    french_plural: str
    feminine: bool
    kind: str

    @property
    def mass(self) -> bool:
        return self.kind in MASS

    @property
    def human(self) -> bool:
        return self.kind in ("kin", "person")

    @property
    def owned(self) -> bool:
        """Whether it can have a possessive. "My valley" and "my wolf" read badly."""
        return (
            self.english in OWNED
            if self.kind in ("person", "animal", "public", "building", "outdoors", "vehicle")
            else self.kind != "part"
        )


# kind gender: english[/plural]=french[/plural], ... A plural that is not given is regular. Kinds in MASS
# have no plural.
MASS = among("dish drink")
NOUNS_TEXT = """
kin m: father=père, brother=frère, son=fils, uncle=oncle, grandfather=grand-père/grands-pères, husband=mari,
    nephew=neveu
kin f: mother=mère, sister=sœur, daughter=fille, aunt=tante, grandmother=grand-mère/grands-mères,
    wife/wives=femme, niece=nièce
person m: man/men=homme, boy=garçon, child/children=enfant, friend=ami, neighbour=voisin, teacher=professeur,
    doctor=médecin,
person m: baker=boulanger, farmer=fermier, student=étudiant, king=roi, prince=prince, waiter=serveur,
    actor=acteur, writer=écrivain,
person m: painter=peintre, gardener=jardinier, policeman/policemen=policier, soldier=soldat,
    hero/heroes=héros, tourist=touriste,
person m: lawyer=avocat, judge=juge, chef=chef, pilot=pilote, thief/thieves=voleur, artist=artiste,
    engineer=ingénieur, sailor=marin
person f: woman/women=femme, girl=fille, lady=dame, queen=reine, princess=princesse, actress=actrice,
    waitress=serveuse,
person f: nurse=infirmière, witch=sorcière, heroine=héroïne
animal m: cat=chat, dog=chien, horse=cheval, bird=oiseau, rabbit=lapin, wolf/wolves=loup, fox=renard,
    bear=ours, lion=lion, tiger=tigre,
animal m: elephant=éléphant, monkey=singe, duck=canard, pig=cochon, donkey=âne, hedgehog=hérisson,
    owl=hibou/hiboux, hamster=hamster,
animal m: butterfly=papillon, snake=serpent, squirrel=écureuil, swan=cygne, eagle=aigle
animal f: cow=vache, mouse/mice=souris, hen=poule, goat=chèvre, frog=grenouille, turtle=tortue, bee=abeille,
    ant=fourmi, giraffe=girafe
food m: lemon=citron, egg=œuf, cake=gâteau, sandwich=sandwich, cookie=biscuit, mushroom=champignon,
    bean=haricot, onion=oignon,
food m: pineapple=ananas, apricot=abricot, lobster=homard, croissant=croissant, yogurt=yaourt
food f: apple=pomme, orange=orange, banana=banane, pear=poire, tomato/tomatoes=tomate, carrot=carotte,
    strawberry=fraise, cherry=cerise,
food f: potato/potatoes=pomme de terre/pommes de terre, peach=pêche, nut=noix, pancake=crêpe, salad=salade
dish m: bread=pain, cheese=fromage, rice=riz, chocolate=chocolat, butter=beurre, honey=miel, ham=jambon
dish f: meat=viande, soup=soupe, jam=confiture
drink m: milk=lait, coffee=café, tea=thé, wine=vin, juice=jus
drink f: water=eau, beer=bière, lemonade=limonade
text m: book=livre, newspaper=journal, magazine=magazine, poem=poème, novel=roman, message=message,
    article=article
text f: letter=lettre, story=histoire
clothes m: hat=chapeau, coat=manteau, glove=gant, sweater=pull
clothes f: shirt=chemise, dress=robe, shoe=chaussure, skirt=jupe, sock=chaussette, scarf/scarves=écharpe,
    tie=cravate, jacket=veste,
clothes f: boot=botte, ring=bague, belt=ceinture
thing m: knife/knives=couteau, glass=verre, bag=sac, umbrella=parapluie, phone=téléphone, computer=ordinateur,
    mirror=miroir,
thing m: painting=tableau, gift=cadeau, toy=jouet, ball=ballon, pencil=crayon, pen=stylo, notebook=cahier,
    flag=drapeau, jewel=bijou/bijoux,
thing m: hammer=marteau, tool=outil, basket=panier, pillow=oreiller, treasure=trésor
thing f: key=clé, fork=fourchette, spoon=cuillère, plate=assiette, cup=tasse, bottle=bouteille, box=boîte,
    suitcase=valise, clock=horloge,
thing f: candle=bougie, flower=fleur, map=carte, photo=photo, doll=poupée, axe=hache, needle=aiguille,
    blanket=couverture, lamp=lampe
furniture m: bed=lit, sofa=canapé, armchair=fauteuil
furniture f: table=table, chair=chaise, wardrobe=armoire
vehicle m: train=train, bus=bus, boat=bateau, plane=avion, bicycle=vélo, truck=camion, helicopter=hélicoptère,
    taxi=taxi
vehicle f: car=voiture, motorbike=moto
instrument m: piano=piano, violin=violon, drum=tambour
instrument f: guitar=guitare, flute=flûte, harp=harpe, trumpet=trompette
public m: hospital=hôpital, hotel=hôtel, museum=musée, market=marché, restaurant=restaurant, theatre=théâtre,
    cinema=cinéma, castle=château,
public m: airport=aéroport, office=bureau
public f: school=école, church=église, station=gare, library=bibliothèque, university=université,
    factory=usine, farm=ferme
building m: shop=magasin, village=village
building f: house=maison, town=ville
room m: attic=grenier, corridor=couloir
room f: kitchen=cuisine, bedroom=chambre, cellar=cave, bathroom=salle de bains/salles de bains
outdoors m: garden=jardin, park=parc, bridge=pont, lake=lac, field=champ, tree=arbre, road=chemin
outdoors f: forest=forêt, beach=plage, street=rue, tower=tour, island=île, mountain=montagne, river=rivière,
    valley=vallée, hill=colline
part m: roof=toit, wall=mur
part f: door=porte, window=fenêtre
idea m: secret=secret, problem=problème, word=mot
idea f: idea=idée, question=question, lesson=leçon, song=chanson, answer=réponse
"""
OWNED = among(
    "friend neighbour teacher doctor lawyer gardener chef student cat dog horse rabbit cow hen goat pig "
    "donkey hamster turtle duck mouse bird "
    "castle office school factory farm restaurant shop village house town garden field tree street boat "
    "bicycle truck car motorbike"
)


def _nouns() -> dict[str, Noun]:
    nouns = {}
    for line in rows(NOUNS_TEXT):
        head, entries = line.split(": ")
        kind, gender = head.split()
        for entry in entries.strip(", ").split(", "):
            english, french = entry.split("=")
            english, _, english_plural = english.partition("/")
            french, _, french_plural = french.partition("/")
            nouns[english] = Noun(
                english,
                english_plural or en.plural(english),
                french,
                french_plural or fr.plural(french),
                gender == "f",
                kind,
            )
    return nouns


NOUNS = _nouns()


@dataclass(frozen=True)
class Name:
    english: str
    french: str
    feminine: bool


NAMES = tuple(
    Name(name, name, False) for name in listed("Paul Marc Thomas Antoine Olivier Arthur Simon Nicolas")
) + tuple(Name(name, name, True) for name in listed("Anna Marie Julie Emma Alice Sophie Claire Sarah"))


@dataclass(frozen=True)
class Land:
    """A town, or a country with its French article (le, la, l', les)."""

    english: str
    french: str
    article: str

    def inside(self) -> str:
        """The French for "in" or "to", as in à Paris, en France, au Japon, aux États-Unis."""
        if not self.article:
            return "à"
        return "à " + self.article if self.article in ("le", "les") else "en"

    def source(self) -> str:
        """The French for "from", as in de Paris, de France, du Japon, des États-Unis."""
        return "de " + self.article if self.article in ("le", "les") else "de"


LANDS = tuple(Land(*entry.split("|")) for entry in (
    "Paris|Paris|", "London|Londres|", "Rome|Rome|", "Brussels|Bruxelles|", "Geneva|Genève|",
    "Athens|Athènes|", "Amsterdam|Amsterdam|",
    "France|France|la", "Italy|Italie|la", "Spain|Espagne|la",
    "Germany|Allemagne|la", "Japan|Japon|le", "Canada|Canada|le",
    "Brazil|Brésil|le", "the United States|États-Unis|les",
))  # fmt: skip


@dataclass(frozen=True)
class Adjective:
    english: str
    french: str
    before: bool
    kinds: frozenset[str]


OBJECTS = "clothes thing furniture vehicle instrument"
# These have a complement with de: le père fier de Paul is a father proud of Paul, not Paul's proud father.
TAKE_DE = among("proud jealous tired full happy crazy worried curious sad")
GROUPS = {
    "people": "kin person",
    "living": "kin person animal",
    "objects": OBJECTS,
    "places": "public building room outdoors",
    "eaten": "food dish",
    "goods": OBJECTS + " food dish drink text",
    "portable": "clothes thing text instrument",
}


def classes(text: str) -> frozenset[str]:
    """The kinds and English nouns that a list of groups, kinds and nouns names."""
    kinds: set[str] = set()
    for item in text.split():
        kinds.update(GROUPS.get(item, item).split())
    return frozenset(kinds)


# before/after | kinds | english=french, ...
ADJECTIVES_TEXT = """
before | person animal food clothes thing furniture vehicle instrument public building room outdoors part |
    small=petit, beautiful=beau
before | clothes thing furniture vehicle instrument public building room outdoors part tree | big=grand
before | person animal objects public building text | old=vieux
before | clothes thing furniture vehicle instrument text building public person song idea | new=nouveau
before | person food dish drink text idea song lesson | good=bon, bad=mauvais
before | person animal | young=jeune
before | clothes thing house garden village town church song girl princess bird | pretty=joli
before | animal | fat=gros
before | skirt dress letter story street road river corridor lesson needle scarf coat bridge | long=long
before | wall tower mountain hill | high=haut
after | clothes thing furniture vehicle door wall house roof | blue=bleu, yellow=jaune, purple=violet,
    pink=rose
after | clothes thing furniture vehicle door wall house roof apple tomato cherry | red=rouge
after | clothes thing furniture vehicle door wall house animal | white=blanc, black=noir, grey=gris,
    brown=marron
after | clothes thing furniture vehicle door wall house frog bird snake apple bean turtle | green=vert
after | people | happy=heureux, rich=riche, intelligent=intelligent, serious=sérieux, polite=poli,
    tired=fatigué, angry=fâché, proud=fier
after | people | shy=timide, jealous=jaloux, generous=généreux, loyal=loyal, lazy=paresseux, famous=célèbre,
    honest=honnête, worried=inquiet
after | people | discreet=discret, active=actif, naive=naïf, friendly=sympathique, blond=blond
after | people animal | sad=triste, curious=curieux, strong=fort, sick=malade, calm=calme, crazy=fou,
    cruel=cruel, weak=faible
after | person book newspaper magazine novel song wine cheese car town village train | French=français,
    English=anglais, German=allemand, Italian=italien
after | person book newspaper magazine novel song town village train | Spanish=espagnol, Russian=russe,
    Chinese=chinois, Greek=grec, Turkish=turc, American=américain
after | objects book | expensive=cher, useful=utile, modern=moderne, magnificent=magnifique
after | clothes thing furniture bicycle | light=léger, heavy=lourd
after | table mirror box plate window tower hat cake clock pillow | round=rond, square=carré
after | bag bottle box glass cup basket suitcase train bus plane house restaurant kitchen hotel | empty=vide,
    full=plein
after | clothes glass plate cup knife fork spoon car window kitchen bathroom street wall dog pig | dirty=sale,
    clean=propre, dry=sec, wet=mouillé
after | sweater blanket pillow scarf bed armchair sofa | soft=doux
after | door window box shop museum restaurant letter suitcase library school bottle | open=ouvert,
    closed=fermé
after | eaten drink | cold=froid, delicious=délicieux, fresh=frais
after | soup coffee tea milk water meat potato pancake bread rice chocolate | hot=chaud
after | tea coffee lemonade juice pancake yogurt | sweet=sucré
after | apple banana pear tomato strawberry cherry peach apricot pineapple orange lemon | ripe=mûr
after | carrot tomato meat onion egg mushroom ham | raw=cru, cooked=cuit
after | orange coffee lemon beer chocolate nut tea apricot | bitter=amer
after | text idea song lesson museum | interesting=intéressant, boring=ennuyeux, original=original,
    strange=étrange
after | text idea lesson | important=important, difficult=difficile, easy=facile, simple=simple,
    complete=complet
after | library school hospital garden park beach university | public=public
after | museum park newspaper library flag | national=national
after | village street garden beach hotel valley lake library | quiet=tranquille
after | hotel street bedroom school bridge | narrow=étroit
after | lake river cellar valley | deep=profond
"""


def _adjectives() -> dict[str, Adjective]:
    adjectives = {}
    for line in rows(ADJECTIVES_TEXT):
        place, kinds, entries = (part.strip() for part in line.split("|"))
        for entry in entries.split(", "):
            english, french = entry.split("=")
            adjectives[english] = Adjective(english, french, place == "before", classes(kinds))
    return adjectives


ADJECTIVES = _adjectives()


@dataclass(frozen=True)
class Verb:
    """A verb with its complements.

    `frame` says what follows it: nothing; `object`; `gift` (an object and its receiver); `place-object`
    (put); `place` (stay, live); `to`, `from` (go, come); or a noun after a French preposition (`à`, `de`,
    `dans`).
    """

    english: str  # the verb alone; particles and prepositions in `particle`
    particle: str
    french: str
    frame: str
    subjects: frozenset[str]
    objects: frozenset[str]
    tenses: tuple[str, ...]
    noun: str = ""  # a bare noun between the French verb and its preposition: avoir besoin de
    # Its English plurals without a determiner are definite in French: he likes apples, il aime les pommes.
    generic: bool = False

    @property
    def key(self) -> str:
        return f"{self.english} {self.particle}".strip() + (
            f" ({self.frame})" if self.frame in ("", "place-object") else ""
        )

    @property
    def conjugation(self) -> fr.Conjugation:
        return CONJUGATIONS[self.french]


ALL = ("present", "past", "future")
STATIVE = ("present", "future")

# english particle | french | frame | subjects | objects
VERBS_TEXT = """
eat | manger | object | living | eaten
drink | boire | object | people | drink
cut | couper | object | people | food bread cheese meat ham tree flower
prepare | préparer | object | people | soup cake salad pancake sandwich meat rice coffee tea lesson
buy | acheter | object | people | goods house
sell | vendre | object | people | goods house
see | voir | object | living | living vehicle building public outdoors thing
watch | regarder | object | living | living vehicle tower tree clock flower
hear | entendre | object | living | living vehicle song instrument
like | aimer | object | people | living goods song lesson garden house
hate | détester | object | people | living eaten drink text clothes song lesson
prefer | préférer | object | people | goods animal song
read | lire | object | people | text map word
write | écrire | object | people | letter message poem book novel article story song word answer
find | trouver | object | people | portable living answer house vehicle
lose | perdre | object | people | portable
look for | chercher | object | people | portable living food answer house station hotel school museum
wait for | attendre | object | people | people train bus taxi plane boat answer letter message gift
open | ouvrir | object | people | door window box suitcase bottle letter bag shop book wardrobe umbrella gift
    restaurant
close | fermer | object | people | door window box suitcase bottle bag shop book wardrobe umbrella restaurant
break | casser | object | people | window plate glass cup bottle lamp mirror chair toy phone umbrella clock
    door doll candle
wash | laver | object | people | clothes plate glass cup car dog cat window spoon fork knife apple horse
clean | nettoyer | object | people | room house car table shoe boot window shop church office sofa
carry | porter | object | people | thing book furniture instrument child
wear | porter | object | people | clothes
take | prendre | object | people | thing text clothes train bus taxi plane food
hide | cacher | object | people | thing text clothes food secret
forget | oublier | object | people | thing text clothes word song idea question people
choose | choisir | object | people | goods song word
finish | finir | object | people | text sandwich cake salad lesson soup painting
follow | suivre | object | living | living road street car bus
help | aider | object | people | people
recognise | reconnaître | object | people | people song car house dog
know | connaître | object | people | people song story answer secret road poem village town hotel
meet | rencontrer | object | people | people
visit | visiter | object | people | public house town village garden cellar island
call | appeler | object | people | people dog cat horse
paint | peindre | object | people | wall door house window chair boat flower horse tree mountain sofa
draw | dessiner | object | people | animal tree house flower boat car castle map mountain
play | jouer | de | people | instrument
repair | réparer | object | people | vehicle phone computer clock lamp chair roof wall toy umbrella door piano
    table
drive | conduire | object | people | car truck bus taxi train
build | construire | object | people | house school hospital bridge wall boat tower castle factory church
    museum
push | pousser | object | people | furniture car bicycle people door box
throw | jeter | object | people | ball toy key hat letter box flower pillow
catch | attraper | object | living | animal ball thief
feed | nourrir | object | people | animal child
photograph | photographier | object | people | living public outdoors house flower
describe | décrire | object | people | people animal painting house town garden dress problem idea
understand | comprendre | object | people | idea text people
explain | expliquer | object | people | idea poem story
learn | apprendre | object | people | lesson song poem word answer
receive | recevoir | object | people | text gift flower answer photo
keep | garder | object | people | thing text clothes secret
rent | louer | object | people | house car boat bicycle truck castle office
steal | voler | object | people fox monkey | thing clothes car bicycle food
borrow | emprunter | object | people | thing text clothes car bicycle
use | utiliser | object | people | tool hammer knife fork spoon phone computer map umbrella axe needle pen
    pencil word
touch | toucher | object | people | thing animal wall clothes instrument
kiss | embrasser | object | people | people
invite | inviter | object | people | people
thank | remercier | object | people | people
greet | saluer | object | people | people
admire | admirer | object | people | people public painting jewel dress garden flower mountain bridge horse
protect | protéger | object | people | people animal house garden forest secret castle
cross | traverser | object | living | street bridge river forest field valley road town
leave | quitter | object | people | public building room garden park beach island
bite | mordre | object | animal | living
hunt | chasser | object | king prince man farmer lion wolf fox tiger cat bear eagle owl | animal
destroy | détruire | object | people | wall bridge tower house letter photo castle forest
discover | découvrir | object | people | island secret treasure castle forest lake village answer valley
    painting
translate | traduire | object | people | text word song question
serve | servir | object | people | eaten drink people
accompany | accompagner | object | people | people
plant | planter | object | people | tree flower tomato strawberry carrot onion
give | donner | gift | people | thing text clothes food animal
show | montrer | gift | people | thing text clothes house garden animal road
send | envoyer | gift | people | text gift photo flower map
lend | prêter | gift | people | thing text clothes car bicycle
bring | apporter | gift | people | thing text food drink dish
offer | offrir | gift | people | thing book clothes drink flower bicycle
tell | raconter | gift | people | story secret
put | mettre | place-object | people | thing text clothes food
talk to | parler | à | people | people
answer | répondre | à | people | people
obey | obéir | à | people | king queen mother father teacher judge doctor grandmother
need | avoir | de | people | portable vehicle friend doctor people
talk about | parler | de | people | people animal text idea house vehicle garden
dream of | rêver | de | people | house boat horse treasure island castle motorbike piano princess
enter | entrer | dans | living | building room church castle museum hotel forest
be afraid of | avoir | de | living | animal people
go | aller | to | people | public beach
come back | revenir | from | people | public beach
arrive | arriver | at | people | public beach
come | venir | from | people | land
travel | voyager | in | people | land
live | habiter | in | people | land house castle village farm tower town
stay | rester | in | living | kitchen bedroom garden forest cellar attic house land school
sleep | dormir | | living |
work | travailler | | people |
laugh | rire | | people |
cry | pleurer | | people |
smile | sourire | | people |
dance | danser | | people |
sing | chanter | | people bird |
run | courir | | living |
walk | marcher | | living |
swim | nager | | people dog duck frog turtle bear swan horse |
jump | sauter | | living |
shout | crier | | people |
scream | hurler | | people |
play | jouer | | people animal |
study | étudier | | people |
hesitate | hésiter | | people |
blush | rougir | | people |
suffer | souffrir | | living |
disappear | disparaître | | living |
leave | partir | | living |
fall | tomber | | living |
go out | sortir | | living |
die | mourir | | animal king queen hero heroine soldier thief witch |
get up | se lever | | living |
wake up | se réveiller | | living |
fall asleep | s'endormir | | living |
get dressed | s'habiller | | people |
hide | se cacher | | living |
hurry | se dépêcher | | people |
stop | s'arrêter | | living vehicle |
have fun | s'amuser | | people |
rest | se reposer | | living |
"""
NOUN_BETWEEN = {"need": "besoin", "be afraid of": "peur"}
HELD_STATES = among("like hate prefer know need") | {"be afraid of"}
GENERIC = among("like hate prefer")


def _verbs() -> tuple[Verb, ...]:
    verbs = []
    for line in rows(VERBS_TEXT):
        phrase, french, frame, subjects, objects = (part.strip() for part in line.split("|"))
        english, _, particle = phrase.partition(" ")
        tenses = STATIVE if phrase in HELD_STATES else ("past", "future") if phrase == "die" else ALL
        between = NOUN_BETWEEN.get(phrase, "")
        verbs.append(
            Verb(
                english,
                particle,
                french,
                frame,
                classes(subjects),
                classes(objects),
                tenses,
                between,
                phrase in GENERIC,
            )
        )
    return tuple(verbs)


VERBS = _verbs()

# english | french | kinds or nouns that may follow it
PREPOSITIONS_TEXT = """
in | dans | public building room garden park forest street field valley
in | dans | kitchen bedroom garden house park forest street town village
at | à | public beach
on | sur | table chair bed bridge beach roof island hill sofa armchair mountain
under | sous | table bed tree bridge chair
in front of | devant | public house shop door window tree mirror
behind | derrière | public house shop door tree wall sofa
near | près de | public building outdoors window door
next to | à côté de | public building furniture door river lake piano
"""


@dataclass(frozen=True)
class Preposition:
    english: str
    french: str
    kinds: frozenset[str]


PREPOSITIONS = tuple(
    Preposition(e, f, classes(kinds))
    for e, f, kinds in (line.split(" | ") for line in rows(PREPOSITIONS_TEXT))
)

# english | french | tenses
TIMES_TEXT = """
today | aujourd'hui | present past future
now | maintenant | present
every day | tous les jours | present
every evening | tous les soirs | present
in the morning | le matin | present
on Sundays | le dimanche | present
on Saturdays | le samedi | present
yesterday | hier | past
last week | la semaine dernière | past
last year | l'année dernière | past
last night | hier soir | past
a long time ago | il y a longtemps | past
tomorrow | demain | future
soon | bientôt | future
next week | la semaine prochaine | future
next year | l'année prochaine | future
tonight | ce soir | future
on Monday | lundi | past future
on Friday | vendredi | past future
in summer | en été | present past future
in winter | en hiver | present past future
this morning | ce matin | past
"""


@dataclass(frozen=True)
class Adverbial:
    english: str
    french: str
    tenses: tuple[str, ...]


TIMES = tuple(
    Adverbial(e, f, tuple(tenses.split()))
    for e, f, tenses in (line.split(" | ") for line in rows(TIMES_TEXT))
)
FREQUENCIES = {"often": "souvent", "always": "toujours", "sometimes": "parfois", "rarely": "rarement"}
PLAIN_NEGATABLE = among("often always")

# English manner adverb: French, whether it comes before the participle, the verbs that may have it
MANNERS = {
    "well": ("bien", True, among("sleep work dance sing swim study run play")),
    "badly": ("mal", True, among("sleep work dance sing swim study play")),
    "slowly": ("lentement", False, among("walk run swim work dance fall")),
    "quickly": ("rapidement", False, among("walk run swim work disappear")),
    "a lot": ("beaucoup", True, among("sleep work laugh cry smile dance sing run walk study suffer")),
}
BE = Verb("be", "", "être", "adjective", classes("living"), frozenset(), STATIVE)
HAVE = Verb(
    "have", "", "avoir", "object", classes("people"), classes("animal goods house idea friend"), STATIVE
)
MODALS = {"can": "pouvoir", "must": "devoir", "want": "vouloir"}
CONJUGATIONS = {verb.french: fr.conjugate(verb.french) for verb in (*VERBS, BE, HAVE)} | {
    f: fr.conjugate(f) for f in MODALS.values()
}
