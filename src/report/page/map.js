
// The map: the store, its images, their layers. What is in a node is made when it is opened: there may be 100,000 layers.
const own = data.images.map(() => []), all = data.images.map(() => []), shared = [];
data.blobs.forEach(([, users], number) => {
  users.forEach(user => all[user].push(number));
  (users.length === 1 ? own[users[0]] : shared).push(number);
});
const bytesOf = numbers => sum(numbers, number => data.blobs[number][0]);
const sorted = nodes => nodes.filter(node => node.bytes > 0).sort((a, b) => b.bytes - a.bytes);
const called = ([, , kind, digest]) => kind + ', ' + digest;
const layer = number => {
  const blob = data.blobs[number], many = blob[1].length > 1;
  return { name: called(blob), bytes: blob[0], kind: many ? 'shared' : 'unique', more: many ? 'shared by ' + blob[1].length + ' images: ' + names(blob[1]) : '' };
};
// Beside the images a layer goes by the image that consists of least, which is most often the base of the others.
const base = users => users.reduce((least, user) => all[user].length < all[least].length ? user : least);
const sharedNode = number => {
  const [, users, kind] = data.blobs[number];
  return { ...layer(number), name: kind + ' of ' + data.images[base(users)].name + ' and ' + (users.length - 1) + ' more' };
};
const layers = numbers => sorted(numbers.map(layer));
const imageNode = (image, number) => ({
  name: image.name, bytes: bytesOf(own[number]), kind: 'unique', mark: image.goes,
  more: [image.shared ? human(image.shared) + ' more are shared with others' : '', image.goes ? 'prune would take it, ' + image.verdict : ''].filter(Boolean).join('; '),
  inner: () => layers(own[number]), open: () => layers(all[number]),
});
const tops = sorted([
  ...data.images.map(imageNode), ...shared.map(sharedNode),
  { name: 'steps of builds', bytes: data.step_bytes, kind: 'other', more: 'kept for the next build' },
  { name: 'what no image needs', bytes: data.unreferenced, kind: 'other', more: 'gc takes it when its grace is over' },
]);
const root = { name: 'the store', bytes: sum(tops, node => node.bytes), kind: 'other', open: () => tops };

// Square pixels: what is smaller can be neither read nor hit, and stands together with its like.
const LEAST = 500;
const counted = nodes => sum(nodes, node => node.count || 1);
const group = (name, nodes, what) => {
  const marked = sum(nodes, node => node.marked || Number(node.mark || 0));
  return { name, bytes: sum(nodes, node => node.bytes), kind: nodes[0].kind, count: counted(nodes), marked,
    more: [what, marked ? 'prune would take ' + marked + ' of them' : ''].filter(Boolean).join('; '), open: () => sorted(nodes) };
};
const repository = node => node.name.split(', ')[0].replace(/^\(was (.*)\)$/, '$1').replace(/:[^:/]*$/, '');
function byRepository(nodes) {
  const groups = new Map();
  for (const node of nodes) { const name = repository(node), part = groups.get(name); if (part) part.push(node); else groups.set(name, [node]); }
  return groups.size === 1 ? nodes : [...groups].map(([name, part]) => part.length === 1 ? part[0] : group(name + ':*', part, counted(part) + ' images'));
}
// Those that are large enough, and groups of those that are not: of a repository, and then from name to name.
// A group has fewer than `nodes`, so that opening one gets somewhere.
function gather(nodes, pixels) {
  const bytes = sum(nodes, node => node.bytes), isLarge = node => node.bytes / bytes * pixels >= LEAST, shown = nodes.filter(isLarge);
  for (const kind of ['unique', 'shared', 'other']) {
    const some = byRepository(nodes.filter(node => node.kind === kind && !isLarge(node)));
    shown.push(...some.filter(isLarge));
    const small = some.filter(node => !isLarge(node)).sort((a, b) => a.name < b.name ? -1 : 1), room = sum(small, node => node.bytes) / bytes * pixels / LEAST;
    const size = Math.ceil(small.length / Math.max(1, Math.min(room, Math.sqrt(small.length))));
    for (let at = 0; at < small.length; at += size) {
      const part = small.slice(at, at + size);
      shown.push(part.length === 1 ? part[0] : group(counted(part) + ' smaller: ' + brief(part[0].name) + ' … ' + brief(part[part.length - 1].name), part, ''));
    }
  }
  return sorted(shown);
}

const sized = (name, bytes) => brief(name) + ' ' + human(bytes);
let way = [root], areas = [];
const box = (made, x, y, width, height) => Object.assign(made.style, { left: x + 'px', top: y + 'px', width: width + 'px', height: height + 'px' });
// As much of a name as there is room for above its bytes; its end tells more than its beginning.
function label(name, width, height) {
  const lines = Math.floor((height - (width > BYTES ? 28 : 8)) / 17), room = Math.floor((width - 16) / 8) * Math.max(1, Math.min(4, lines)), long = name.length > room;
  return element('b', long ? name.slice(1 - room) : name, long ? 'cut' : '');
}
const BYTES = 72;
function draw(focus) {
  const here = way[way.length - 1], map = $('map'), w = map.clientWidth, h = map.clientHeight, nodes = here.open();
  // By a fragment: 1,000 areas are laid out once.
  const drawn = document.createDocumentFragment();
  areas = [];
  if (!nodes.length) drawn.append(element('p', 'There is nothing in it.', 'soft'));
  squarify(gather(nodes, w * h), 0, 0, w, h, (node, x, y, width, height) => {
    const button = element('button', undefined, node.kind + (node.mark ? ' mark' : ''));
    button.type = 'button'; button.tabIndex = areas.length ? -1 : 0; button.dataset.bytes = node.bytes; button.dataset.kind = node.kind;
    box(button, x, y, width, height);
    if (node.inner && width * height > 4000) squarify(sorted(gather(node.inner(), width * height)), 0, 0, width, height, (_, ...place) => box(button.appendChild(element('i')), ...place));
    if (width > 48 && height > 24) button.append(label(node.name, width, height), ' ');
    if (width > BYTES && height > 44) button.append(element('small', human(node.bytes)));
    const words = sized(node.name, node.bytes) + ', ' + percent(node.bytes, root.bytes) + ' of the store' + (node.more ? '; ' + node.more : '');
    button.setAttribute('aria-label', words);
    button.onfocus = button.onmouseenter = () => { $('pointed').textContent = words; };
    button.onclick = () => node.open ? open(node) : say(words);
    drawn.append(button); areas.push({ node, button, x: x + width / 2, y: y + height / 2 });
  });
  map.replaceChildren(drawn);
  $('pointed').textContent = '';
  $('way').replaceChildren(...way.map((step, at) => {
    const item = element('li'), label = sized(step.name, sum(step.open(), node => node.bytes));
    if (at + 1 === way.length) { item.append(element('strong', label)); item.setAttribute('aria-current', 'true'); return item; }
    const back = element('button', brief(step.name)); back.type = 'button';
    back.onclick = () => { const from = way[at + 1]; way = way.slice(0, at + 1); draw(); focusOn(from); };
    item.append(back);
    return item;
  }));
  if (focus && areas.length) move(areas[0]);
}
const inside = node => { const nodes = node.open(); return sized(node.name, sum(nodes, inner => inner.bytes)) + ', ' + nodes.length + ' inside'; };
function open(node) { way.push(node); draw(true); say(inside(node)); }
function up() { if (way.length > 1) { const from = way.pop(); draw(); focusOn(from); say(inside(way[way.length - 1])); } }
// Groups are made anew by each drawing: what was left is known by its name.
function focusOn(node) { const area = areas.find(area => area.node.name === node.name && area.node.bytes === node.bytes) || areas[0]; if (area) move(area); }
function move(area) { areas.forEach(other => { other.button.tabIndex = other === area ? 0 : -1; }); area.button.focus(); }
const AHEAD = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
$('map').addEventListener('keydown', event => {
  const now = areas.find(area => area.button === document.activeElement), step = AHEAD[event.key];
  if (event.key === 'Escape' || event.key === 'Backspace') { event.preventDefault(); return up(); }
  if (!now || !step) return;
  event.preventDefault();
  let best = null, least = Infinity;
  for (const area of areas) {
    const dx = area.x - now.x, dy = area.y - now.y, ahead = dx * step[0] + dy * step[1], aside = Math.abs(dx * step[1]) + Math.abs(dy * step[0]);
    if (ahead > 0.5 && ahead + 2 * aside < least) { least = ahead + 2 * aside; best = area; }
  }
  if (best) move(best);
});

const images = sum(tops, node => node.kind === 'unique' ? node.bytes : 0);
for (const [kind, words] of [['unique', 'of one image alone, ' + human(images)], ['shared', 'shared by several, ' + human(bytesOf(shared))],
  ['other', 'of no image, ' + human(data.step_bytes + data.unreferenced)], ['mark', 'prune would take it']]) {
  const item = element('li');
  item.append(element('i', undefined, kind), words);
  $('key').append(item);
}
// Drawn anew where the size changed, and not a hundred times on the way there.
let waiting, width = 0;
new ResizeObserver(() => { clearTimeout(waiting); waiting = setTimeout(() => { if (width !== (width = $('map').clientWidth)) draw(); }, 50); }).observe($('map'));
width = $('map').clientWidth;
draw();
