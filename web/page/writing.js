// The page of a model that reads: a box for the text, in place of the picture and its buttons.

const PAUSE = 300; // milliseconds after the last key

/** Show the box; `answer(text)` is called at every pause and on request, `forget()` where no text is left. */
export function writing(answer, forget) {
  const [box, button] = ["text", "ask"].map((id) => document.getElementById(id));
  for (const id of ["stage", "buttons"]) document.getElementById(id).hidden = true;
  document.getElementById("writing").hidden = false;
  document.getElementById("subtitle").textContent = "Runs on this device. No word leaves it.";
  let timer = 0;
  let asked = null;
  const ask = async () => {
    clearTimeout(timer);
    if (!box.value.trim()) {
      asked = null;
      return forget();
    }
    if (box.value === asked) return;
    asked = box.value;
    await answer(asked);
  };
  box.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(ask, PAUSE);
  });
  button.addEventListener("click", () => {
    asked = null;
    ask();
  });
}
