"""A page on which a hand walks through a latent space: from a server, in one file, in a notebook.

page.js      the page, with markup.js, state.js, map.js and numbers.js; it asks a link for the rest:
scene.py     what the page is told about a model
server.py    a link to a server on this machine
export.py    a link to a decoder inside the page (decoder.js), or to tiles decoded beforehand
widget.py    a link to a notebook's kernel
"""

from vae_cli.explore.scene import Scene, Space, survey

__all__ = ["Scene", "Space", "survey"]
