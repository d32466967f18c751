// Words that a reader selects, with the mouse, a click or the keyboard.

// `lines` are arrays of word elements. The page hands in how it draws: show(line, index) for a selected word, rest()
// for none. across(line, index, up) gives the [line, index] that the up and down arrows go to, or null.
// Returns what the page needs for its own events: restore() draws the pinned word or nothing, isPinned().
function listenToWords(section, lines, show, rest, across) {
  let pinned = null; // [line, index] of the word that a click holds

  const isPinned = (line, index) => pinned !== null && pinned[0] === line && pinned[1] === index;
  const restore = () => (pinned ? show(...pinned) : rest());

  function pin(position) {
    pinned = position;
    lines.forEach((words, line) =>
      words.forEach((word, index) => word.setAttribute("aria-pressed", isPinned(line, index))),
    );
  }

  function toggle(line, index) {
    pin(isPinned(line, index) ? null : [line, index]);
    restore();
  }

  // One word of the section is a stop of the Tab key: the one that had the focus last.
  function moveFocus(line, index) {
    for (const word of lines.flat()) word.tabIndex = -1;
    lines[line][index].tabIndex = 0;
    lines[line][index].focus();
  }

  // Where a key moves the focus in a line, or undefined.
  function target(key, index, words) {
    const rightToLeft = getComputedStyle(words[0].parentNode).direction === "rtl";
    const last = words.length - 1;
    if (key === "Home") return 0;
    if (key === "End") return last;
    if (key !== "ArrowRight" && key !== "ArrowLeft") return undefined;
    const step = (key === "ArrowRight") === rightToLeft ? -1 : 1;
    return Math.min(Math.max(index + step, 0), last);
  }

  function onKey(event, line, index) {
    const inLine = target(event.key, index, lines[line]);
    if (event.key === "Enter" || event.key === " ") {
      toggle(line, index);
    } else if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      const other = across(line, index, event.key === "ArrowUp");
      if (!other) return;
      moveFocus(...other);
    } else if (inLine !== undefined) {
      moveFocus(line, inLine);
    } else {
      return;
    }
    event.preventDefault();
  }

  function onFocus(word, line, index) {
    if (!word.matches(":focus-visible")) return; // focus by the mouse: the click decides
    if (pinned) pin([line, index]);
    show(line, index);
  }

  lines.forEach((words, line) =>
    words.forEach((word, index) => {
      word.addEventListener("mouseenter", () => pinned || show(line, index));
      word.addEventListener("mouseleave", () => pinned || rest());
      word.addEventListener("focus", () => onFocus(word, line, index));
      word.addEventListener("blur", () => pinned || rest());
      word.addEventListener("click", () => toggle(line, index));
      word.addEventListener("keydown", (event) => onKey(event, line, index));
    }),
  );
  section.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !pinned) return;
    pin(null);
    rest();
  });
  return { restore, isPinned: () => pinned !== null };
}

function clearWords(words) {
  for (const word of words) {
    word.classList.remove("selected");
    markWord(word, 0, "");
  }
}

// The strength of the colour behind a word, from 0 to 1, and the number below it.
function markWord(word, strength, number) {
  word.style.backgroundColor = strength ? `rgba(var(--weight), ${strength * 0.85})` : "";
  word.querySelector("small").textContent = number;
}

// 0.25 as ".25"; nothing below the least weight.
const shortNumber = (weight, least) => (weight >= least ? weight.toFixed(2).replace(/^0/, "") : "");

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
