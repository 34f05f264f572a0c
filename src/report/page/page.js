
const known = data.prune, pictures = data.images.filter(image => !image.is_document).length, goes = data.images.filter(image => image.goes);
$('about').append(element('bdi', data.store), ', ' + (time(data.now) || '').replace('T', ' ').slice(0, 16) + ' UTC, larder ' + data.version);
for (const [name, bytes, more] of [
  ['On the disk', data.on_disk, count(data.blobs.length, 'blob')],
  ['Of images', data.stored, count(pictures, 'image')],
  ['Saved by sharing', data.saved, percent(data.saved, data.saved + data.stored) + ' of ' + human(data.saved + data.stored)],
  ['Of no image', data.unreferenced + data.step_bytes, data.step_bytes ? human(data.step_bytes) + ' for builds' : ''],
  ['prune would free', known.freed, known.error === null ? count(goes.length, 'image') : 'not known'],
  ['Free on the disk', data.free, ''],
]) {
  const row = element('div');
  row.append(element('dt', name), element('dd', human(bytes)), element('dd', more, 'soft'));
  $('sums').append(row);
}

const name = { title: 'Image', of: image => image.name };
if (known.error !== null) $('prune').append(element('p', 'It is not known: ' + known.error));
else for (const words of known.words) $('prune').append(element('p', words));
if (goes.length) {
  table($('prune'), 'Images that prune would take', [name, bytes('All of it', image => image.total), bytes('Its own', image => image.unique), date('Last used', image => image.last_used),
    { title: 'Why', of: image => image.verdict }], goes);
}
if (data.images.length) {
  table($('images'), 'All images', [name, bytes('All of it', image => image.total), bytes('Its own', image => image.unique), bytes('Shared', image => image.shared),
    date('Imported', image => image.imported), date('Last used', image => image.last_used),
    { title: 'What prune would do now, and why', of: image => image.verdict, goes: image => image.goes }], data.images, 'Find an image');
} else $('images').append(element('p', 'There is none yet: larder import and larder pull bring some.'));

const saved = blob => blob[0] * (blob[1].length - 1);
$('shared-about').textContent = data.saved ? 'Each of these is stored once, and would be there as often as images have it. Together they save ' + human(data.saved) + '.' : 'No two images have a layer in common.';
if (shared.length) {
  table($('shared'), 'What several images have', [{ title: 'Layer', of: called }, bytes('Size', blob => blob[0]), number('Images', blob => blob[1].length), bytes('Saves', saved),
    { title: 'Which', of: blob => names(blob[1]) }], shared.map(at => data.blobs[at]).sort((a, b) => saved(b) - saved(a)));
}

$('packages-about').textContent = !data.images.length ? '' : data.packages_of ? data.packages_of.toLocaleString('en') + ' of ' + count(pictures, 'image') + ' were looked into. Sizes are what package managers say, of the largest version.'
  : 'No image was looked into yet: larder sbom and larder images --with-package do that, and the page made after it lists them.';
if (data.packages.length) {
  table($('packages'), 'Packages by size', [{ title: 'Package', of: found => found[0] }, { title: 'Kind', of: found => found[1] }, bytes('Installed size', found => found[2]),
    number('Images', found => found[3])], data.packages, 'Find a package');
}
