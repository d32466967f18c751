// Attention between two lines of words: curves between them, and colours behind the words.

const SOURCE = 0, TARGET = 1;
const MIN_CURVE = 0.1; // weight from which a curve is drawn while no word is selected
const MIN_NUMBER = 0.01; // weight from which a selected word has curves and numbers

const weights = JSON.parse(document.getElementById("weights").textContent); // target words x source words

function explore(section) {
  const lines = [".source", ".target"].map((side) => [...section.querySelectorAll(`${side} .word`)]);
  const box = section.querySelector(".pair");
  const spoken = section.querySelector(".spoken");
  box.insertAdjacentHTML("afterbegin", '<svg aria-hidden="true"></svg>');
  const svg = box.firstElementChild;

  let selected = null; // [line, index]

  const weightOf = (line, index, other) => (line === TARGET ? weights[index][other] : weights[other][index]);

  function isDrawn(target, source, weight) {
    if (!selected) return weight >= MIN_CURVE;
    return weight >= MIN_NUMBER && selected[1] === (selected[0] === TARGET ? target : source);
  }

  function curve(source, target, opacity) {
    const origin = box.getBoundingClientRect();
    const above = lines[SOURCE][source].getBoundingClientRect();
    const below = lines[TARGET][target].getBoundingClientRect();
    const x1 = above.left + above.width / 2 - origin.left;
    const y1 = above.bottom - origin.top + 11; // below the number of the source word
    const x2 = below.left + below.width / 2 - origin.left;
    const y2 = below.top - origin.top;
    const middle = (y1 + y2) / 2;
    const path = document.createElementNS(svg.namespaceURI, "path");
    path.setAttribute("d", `M${x1} ${y1}C${x1} ${middle} ${x2} ${middle} ${x2} ${y2}`);
    path.setAttribute("stroke-opacity", opacity);
    return path;
  }

  function drawCurves() {
    // curves cross the words of a line that is wrapped: paler there
    const wrapped = lines.some((words) => words.length && words.at(-1).offsetTop > words[0].offsetTop + 4);
    const strength = selected ? 0.9 : wrapped ? 0.22 : 0.5;
    const curves = weights.flatMap((row, target) =>
      row.flatMap((weight, source) =>
        isDrawn(target, source, weight) ? [curve(source, target, Math.min(weight, 1) * strength)] : [],
      ),
    );
    svg.replaceChildren(...curves);
  }

  function rest() {
    clearWords(lines.flat());
    selected = null;
    spoken.textContent = "";
    drawCurves();
  }

  function show(line, index) {
    clearWords(lines.flat());
    selected = [line, index];
    lines[line][index].classList.add("selected");
    const strong = [];
    lines[1 - line].forEach((word, other) => {
      const weight = weightOf(line, index, other);
      markWord(word, clamp(weight, 0, 1), shortNumber(weight, MIN_NUMBER));
      if (weight >= MIN_CURVE) strong.push({ weight, text: word.querySelector("bdi").textContent });
    });
    strong.sort((one, other) => other.weight - one.weight);
    const list = strong.map(({ weight, text }) => `${text} ${weight.toFixed(2)}`).join(", ");
    spoken.textContent = `${lines[line][index].querySelector("bdi").textContent}: ${list}`;
    drawCurves();
  }

  // The word of the other line with the largest weight.
  function across(line, index, up) {
    const others = lines[1 - line];
    if (up !== (line === TARGET) || !others.length) return null;
    const better = (best, _, other) => (weightOf(line, index, other) > weightOf(line, index, best) ? other : best);
    return [1 - line, others.reduce(better, 0)];
  }

  listenToWords(section, lines, show, rest, across);
  drawCurves();
  new ResizeObserver(drawCurves).observe(box);
}

document.querySelectorAll("section").forEach(explore);
