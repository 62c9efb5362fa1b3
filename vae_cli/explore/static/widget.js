// The link to the kernel of a notebook.

function kernel(model) {
  const waiting = new Map();
  let last = 0;
  model.on("msg:custom", ({ id }, [content]) => {
    waiting.get(id)?.(new Uint8Array(content.buffer, content.byteOffset, content.byteLength));
    waiting.delete(id);
  });
  const ask = (question, buffers = []) => new Promise((done) => {
    waiting.set(++last, done);
    model.send({ ...question, id: last }, undefined, buffers);
  });
  return {
    address: false,
    decode: (z, told) => ask({}, [new Float32Array([...z, ...told]).buffer]),
    encode: null,
    original: (item) => ask({ item }),
  };
}

export default {
  render({ model, el }) {
    el.tabIndex = -1;
    mount(el.appendChild(document.createElement("div")), model.get("facts"), kernel(model));
  },
};
