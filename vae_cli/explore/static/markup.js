// The elements of the page; page.js fills them.

const element = (name, text, properties = {}) =>
  Object.assign(document.createElement(name), { textContent: text }, properties);

const MARKUP = `
  <header><h1></h1><p class="about"></p></header>
  <main>
    <section class="stage" aria-label="Picture">
      <div class="frame"><canvas class="picture"></canvas><table class="values"></table></div>
      <p class="message" role="status"></p>
      <div class="row tools">
        <button class="undo" title="Ctrl+Z">Undo</button>
        <button class="reset" title="Set all sliders to 0">Reset</button>
        <button class="link" title="Copy the address of this state">Copy link</button>
        <button class="save" title="Save the picture">Save PNG</button>
      </div>
      <div class="row beside">
        <figure class="origin"><canvas class="original"></canvas><figcaption>original</figcaption></figure>
        <figure class="drop"><label class="upload">Drop a picture here, or choose one
          <input type="file" accept="image/*"></label>
          <label><input type="checkbox" class="invert"> invert</label></figure>
      </div>
    </section>
    <section class="controls" aria-label="Sliders">
      <fieldset class="told"><legend>Tell the model</legend><div class="row"></div></fieldset>
      <fieldset class="start"><legend>Start from</legend>
        <div class="row pick"><select class="class" aria-label="Class"></select>
          <button class="another">Another</button>
          <label>item <input type="number" class="index" min="0" value="0"></label></div>
        <div class="row"><button class="sample">Sample from the prior</button>
          <label class="grow">temperature <output class="shown temperature-shown"></output>
          <input type="range" class="temperature" min="0" max="2" step="0.05" value="1"></label></div>
        <p class="absent">Without its data: the page starts from the prior.</p>
      </fieldset>
      <fieldset class="blend"><legend>Blend A and B</legend>
        <div class="row"><button class="set-a">Keep as A</button><canvas class="thumb a"></canvas>
          <input type="range" class="blend-slider" aria-label="From A to B" min="0" max="1" step="0.01"
            value="0" disabled>
          <canvas class="thumb b"></canvas><button class="set-b">Keep as B</button></div>
      </fieldset>
      <fieldset class="added"><legend>Add to the latent</legend>
        <div class="all"></div>
        <div class="informative"></div>
        <details class="less"><summary></summary><div></div></details>
        <details class="inactive"><summary></summary><div></div></details>
      </fieldset>
    </section>
    <section class="map" aria-label="Map">
      <div class="plane"><canvas></canvas><p class="hint"></p></div>
      <ul class="legend"></ul>
    </section>
  </main>`;
