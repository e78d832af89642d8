// The kinds of input and of answer: one module each, found by the name that model.json gives the kind.
//
// inputs/NAME.js turns a source (an image, a text, …) into tensors, and shows the controls that give sources.
// Of `spec`, which is task.input in model.json:
//
//   subtitle                 the line under the page's title
//   rows(spec)               {name: value} for "About this model"; values "" are left out
//   feed(spec, folder)       a function from a source to the graph's inputs: {name: [type, values, shape]}, or a
//                            promise of one. `folder` holds the scripts of other projects that this kind needs
//   start(spec, page)        puts the controls on the page (`controls` in view.js) and from then on gives `page`,
//                            which is described in app.js, each source. Returns a function that takes files (those
//                            that are dropped, and the page's examples), or nothing
//   fixedSize(spec)          optional: the [h, w] of every input of the graph, null where it is that of the image
//
// targets/NAME.js turns the graph's outputs into an answer, and shows it. Of `spec`, which is task.target:
//
//   rows(spec)               as above
//   decode(spec, outputs, size, fixed)
//                            the answer as a plain object; `outputs` are {name: values of one item}, `size` the
//                            [h, w] of the image if it is one, `fixed` what fixedSize said
//   show(answer, companion, paint)
//                            the nodes for #answer; null and "" are left out. `paint()`, where there is an image, draws
//                            anew what lies over it
//   draw(canvas, answer)     optional: draws the answer on `canvas`, which lies over the image and is as large
//   companion(theme)         optional: what stands beside each answer of a page with this theme, or null. Where
//                            there is one, the camera is the one that looks at its user, and mirrors them
//
// A kind from outside the package brings its own file, which lies beside these and may import them and view.js.

/** The module of a kind: `role` is "inputs" or "targets". */
export async function kindModule(role, name) {
  if (!/^[a-z_]+$/.test(name)) throw new Error(`"${name}" is not the name of a kind: small letters and _ are.`);
  return import(`./${role}/${name}.js`);
}
