// The link to the server that this page came from.

const query = `token=${new URLSearchParams(location.search).get("token")}`;
const STOPPED = "The server has stopped: start vae explore again.";

/** Ask the server; its message about a mistake becomes the error. */
async function ask(path, options) {
  const answer = await fetch(path, options).catch(() => { throw new Error(STOPPED); });
  if (!answer.ok) throw new Error(await answer.text());
  return answer;
}

let socket = null;

/** An open socket; a new one if the last was closed. */
async function open() {
  if (socket?.readyState === WebSocket.OPEN) return socket;
  socket = new WebSocket(`ws://${location.host}/decode?${query}`);
  socket.binaryType = "arraybuffer";
  await new Promise((done, fail) => {
    socket.onopen = done;
    socket.onerror = () => fail(new Error(STOPPED));
  });
  return socket;
}

let turn = Promise.resolve();

/** Send one position at a time, because answers come in the order of the questions. */
function decode(z, told) {
  const answer = turn.then(async () => {
    const socket = await open();
    socket.send(new Float32Array([...z, ...told]));
    return new Promise((done, fail) => {
      socket.onmessage = ({ data }) => done(new Uint8Array(data));
      socket.onclose = () => fail(new Error(STOPPED));
    });
  });
  turn = answer.catch(() => {});
  return answer;
}

mount(document.body, JSON.parse(document.getElementById("facts").textContent), {
  address: true,
  decode,
  encode: async (file, invert, told) => {
    const more = `${invert ? "&invert" : ""}&told=${encodeURIComponent(encoded(told))}`;
    const answer = await ask(`/encode?${query}${more}`, { method: "POST", body: file });
    return answer.json();
  },
  original: async (index) => {
    const answer = await ask(`/items/${index}?${query}`);
    return new Uint8Array(await answer.arrayBuffer());
  },
});
