
const svg = (name, attributes) => {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const key in attributes) made.setAttribute(key, attributes[key]);
  return made;
};
// Both charts have the same days.
const today = Math.floor(data.now / DAY), points = [...data.growth, ...data.uses];
const first = Math.min(today - 1, ...points.slice(0, 1).map(point => point[0]), ...data.uses.slice(0, 1).map(point => point[0])), last = Math.max(today, ...points.map(point => point[0]));
const W = 1000, H = 200, X = at => (at - first) / (last + 1 - first) * W;
// `draw` puts shapes for the days into the picture, given the height of so many bytes; the numbers stand below, for whoever wants or hears them.
function chart(place, days, words, most, draw) {
  if (!days.length) { place.append(element('p', 'Nothing is known of it.')); return; }
  const figure = element('figure'), picture = svg('svg', { viewBox: '0 0 ' + W + ' ' + H, role: 'img', 'aria-label': words, preserveAspectRatio: 'none' });
  for (const part of [0.25, 0.5, 0.75]) picture.append(svg('line', { x1: 0, x2: W, y1: H * part, y2: H * part }));
  draw(picture, bytes => bytes / most * (H - 4));
  const top = element('div', human(most), 'most'), below = element('div', undefined, 'days');
  for (const at of [first, (first + last) / 2, last]) below.append(element('span', day(Math.floor(at) * DAY)));
  figure.append(top, picture, below);
  const numbers = element('details'), inside = element('div');
  numbers.append(element('summary', 'The same in numbers'), inside);
  numbers.addEventListener('toggle', () => table(inside, words, [date('Day', point => point[0] * DAY), bytes('Bytes', point => point[1])], days), { once: true });
  place.append(figure, numbers);
}
chart($('growth'), data.growth, 'Growth by import', Math.max(1, ...data.growth.slice(-1).map(point => point[1])), (picture, height) => {
  let path = 'M' + X(data.growth[0][0]) + ',' + H, before = 0;
  for (const [at, bytes] of data.growth) { path += 'V' + (H - height(before)) + 'H' + X(at) + 'V' + (H - height(bytes)); before = bytes; }
  picture.append(svg('path', { d: path + 'H' + W + 'V' + H + 'Z', class: 'unique' }));
});
// Bars of several days where one day's would be too thin to see.
const span = Math.ceil((last + 1 - first) / 60), bars = new Map();
for (const [at, bytes] of data.uses) { const bar = Math.floor((at - first) / span); bars.set(bar, (bars.get(bar) || 0) + bytes); }
$('uses-about').textContent = 'Bytes by the day on which an image that has them was last used' + (span > 1 ? ', ' + span + ' days a bar' : '') + '.' +
  (data.unused ? ' Of ' + human(data.unused) + ' no use is recorded since they came.' : '');
chart($('uses'), data.uses, 'Last use of the bytes', Math.max(1, ...bars.values()), (picture, height) => {
  for (const [bar, bytes] of bars) picture.append(svg('rect', { x: X(first + bar * span) + 1, width: Math.max(2, X(first + span) - 2), y: H - Math.max(2, height(bytes)), height: Math.max(2, height(bytes)), class: 'shared' }));
});
