// Attention of captions over images (light on the image) and clips (bars below the frames).

const GAMMA = {gamma}; // as in the files that plotting writes: brightness is (weight / highest) to this power
const LIGHT = "rgba({warm}, 0.2)";
const MIN_NUMBER = 0.005; // weight from which a number is written

// Matrix: words x positions. A clip has 0 rows and columns.
const [rows, columns, highest, weights] = JSON.parse(document.getElementById("weights").textContent);

function explore(section) {
  const words = [...section.querySelectorAll(".word")];
  const frames = [...section.querySelectorAll("figure")];
  const stage = section.querySelector(".stage"); // of a still image
  const share = (weight) => clamp(weight, 0, highest) / highest;
  const brightness = (weight) => share(weight) ** GAMMA;

  function clear() {
    clearWords(words);
    for (const frame of frames) markFrame(frame, 0, "", "");
    if (stage) darken(stage, false);
  }

  function markFrame(frame, part, opacity, number) {
    frame.style.setProperty("--part", part);
    frame.querySelector("img").style.opacity = opacity;
    frame.querySelector("small").textContent = number;
  }

  function showWord(index) {
    clear();
    words[index].classList.add("selected");
    if (stage) light(stage, rows, columns, weights[index].map(brightness));
    frames.forEach((frame, number) => {
      const weight = weights[index][number];
      markFrame(frame, share(weight), 0.3 + 0.7 * brightness(weight), shortNumber(weight, MIN_NUMBER));
    });
  }

  function showPosition(position) {
    clear();
    words.forEach((word, index) => {
      const weight = weights[index][position];
      markWord(word, brightness(weight), shortNumber(weight, MIN_NUMBER));
    });
  }

  const pointing = listenToWords(section, [words], (_, index) => showWord(index), clear, () => null);
  const hover = (position) => pointing.isPinned() || showPosition(position);

  frames.forEach((frame, number) => {
    frame.addEventListener("mouseenter", () => hover(number));
    frame.addEventListener("mouseleave", pointing.restore);
  });
  if (stage) {
    const canvas = stage.querySelector("canvas");
    const cell = (offset, length, count) => clamp(Math.floor((offset / length) * count), 0, count - 1);
    canvas.addEventListener("mousemove", (event) => {
      const row = cell(event.offsetY, canvas.clientHeight, rows);
      hover(row * columns + cell(event.offsetX, canvas.clientWidth, columns));
    });
    canvas.addEventListener("mouseleave", pointing.restore);
  }
  if (words.length) {
    const image = section.querySelector("img");
    image.decode().then(() => pointing.isPinned() || showWord(0));
  }
}

function darken(stage, on) {
  const canvas = stage.querySelector("canvas");
  stage.classList.toggle("dark", on);
  canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
}

// Draw the image's own colours, under a warm light, where its cells are bright; the rest of the stage is dark.
function light(stage, rows, columns, brightness) {
  darken(stage, true);
  const image = stage.querySelector("img");
  const canvas = stage.querySelector("canvas");
  const times = Math.max(1, Math.round(640 / Math.max(image.naturalWidth, image.naturalHeight)));
  const width = image.naturalWidth * times, height = image.naturalHeight * times;
  canvas.width = width;
  canvas.height = height;

  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  const mask = cellMask(rows, columns, brightness);
  const cellWidth = width / columns, cellHeight = height / rows;
  context.drawImage(mask, -cellWidth, -cellHeight, width + 2 * cellWidth, height + 2 * cellHeight);
  context.globalCompositeOperation = "source-in";
  context.imageSmoothingEnabled = !image.classList.contains("crisp");
  context.drawImage(image, 0, 0, width, height);
  context.globalCompositeOperation = "source-atop";
  context.fillStyle = LIGHT;
  context.fillRect(0, 0, width, height);
}

// A canvas with one pixel for each cell, whose opacity is the cell's brightness. The outer cells are repeated once, so
// that light stays level up to the edge.
function cellMask(rows, columns, brightness) {
  const canvas = document.createElement("canvas");
  canvas.width = columns + 2;
  canvas.height = rows + 2;
  const data = new ImageData(canvas.width, canvas.height);
  for (let y = 0; y < canvas.height; y++) {
    for (let x = 0; x < canvas.width; x++) {
      const cell = clamp(y - 1, 0, rows - 1) * columns + clamp(x - 1, 0, columns - 1);
      data.data[4 * (y * canvas.width + x) + 3] = Math.round(255 * brightness[cell]);
    }
  }
  canvas.getContext("2d").putImageData(data, 0, 0);
  return canvas;
}

document.querySelectorAll("section").forEach(explore);
