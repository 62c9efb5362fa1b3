"""A page of sliders over a latent space: from a server, as one file, or in a notebook.

static/page.js  the page, with markup.js, state.js, map.js and numbers.js; a link gives it items:
server.py       a link to a server on this machine (static/server.js); guard.py keeps others out
export.py       a link to a decoder in the page, or to tiles that were decoded before (decoder.js)
widget.py       a link to a notebook's kernel (static/widget.js)
scene.py        the facts about a model that the page shows
"""
