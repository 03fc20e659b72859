/* Colour fields take a colour when it is written to the end, in any form that a browser knows. viser 0.2 takes whatever
   is written as three pairs of digits, letter by letter: red was never red, and a banana nearly black. */
(() => {
  if (window.colorsAreWhole) return;
  window.colorsAreWhole = true;
  const SHOWN = 6000, SOON = 100;
  const writing = new WeakMap(); /* what a field showed before somebody wrote into it, and what is written */
  const write = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set;
  const pen = document.createElement('canvas').getContext('2d');
  const isColorField = element => element.classList && element.classList.contains('mantine-ColorInput-input');

  const asWritten = (text, like) => {
    if (!CSS.supports('color', text)) return null;
    pen.fillStyle = text;
    if (!/^#[0-9a-f]{6}$/.test(pen.fillStyle)) return null;
    const channels = [1, 3, 5].map(start => parseInt(pen.fillStyle.slice(start, start + 2), 16));
    return like.startsWith('rgb') ? `rgb(${channels.join(', ')})` : pen.fillStyle;
  };

  const say = (field, sentence) => {
    const note = document.createElement('div'), place = field.getBoundingClientRect();
    note.className = 'dn-note';
    note.role = 'alert';
    note.textContent = sentence;
    note.style.bottom = `${innerHeight - place.top + 4}px`;
    document.body.append(note);
    setTimeout(() => note.remove(), SHOWN);
  };

  const take = field => {
    if (!writing.has(field)) return;
    const {old, text} = writing.get(field), color = asWritten(text.trim(), old);
    writing.delete(field);
    write.call(field, color || old);
    if (color) field.dispatchEvent(new Event('input', {bubbles: true}));
    else say(field, `"${text.slice(0, 40)}" is no colour, so it stays as it was; write red, or #ff0000, for example.`);
  };

  /* the page shows the old colour again whenever it draws the field anew */
  const keep = field => {
    if (writing.has(field) && field.value !== writing.get(field).text) write.call(field, writing.get(field).text);
  };

  const listen = (event, react) => window.addEventListener(event, told => {
    if (isColorField(told.target)) react(told.target, told);
  }, true);
  const whileWriting = (event, react) => listen(event, (field, told) => writing.has(field) && react(field, told));
  listen('beforeinput', field => {
    if (writing.has(field)) keep(field);
    else writing.set(field, {old: field.value, text: field.value});
  });
  whileWriting('input', (field, told) => {
    told.stopImmediatePropagation();
    writing.get(field).text = field.value;
    setTimeout(() => keep(field), SOON);
  });
  whileWriting('change', (field, told) => told.stopImmediatePropagation());
  whileWriting('keydown', (field, told) => told.key === 'Enter' && take(field));
  whileWriting('focusout', field => setTimeout(() => take(field))); /* viser puts its last colour back first */
})();
