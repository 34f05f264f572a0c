
// Squarified treemap (Bruls, Huizing, van Wijk 2000): rows are filled along the shorter side as long as that makes them squarer.
// `list` is sorted, largest first; nothing of it has 0 bytes.
function squarify(list, x, y, w, h, place) {
  let left = sum(list, item => item.bytes), at = 0;
  while (at < list.length && w > 0 && h > 0) {
    const side = Math.min(w, h), scale = w * h / left, begin = at;
    let bytes = 0, worst = Infinity;
    while (at < list.length) {
      const thick = (bytes + list[at].bytes) * scale / side, ratio = item => { const long = item.bytes * scale / thick; return Math.max(long / thick, thick / long); };
      const next = Math.max(ratio(list[begin]), ratio(list[at]));
      if (next > worst) break;
      worst = next; bytes += list[at++].bytes;
    }
    const thick = bytes * scale / side;
    let along = 0;
    for (const item of list.slice(begin, at)) {
      const length = item.bytes / bytes * side;
      if (w <= h) place(item, x + along, y, length, thick); else place(item, x, y + along, thick, length);
      along += length;
    }
    if (w <= h) { y += thick; h -= thick; } else { x += thick; w -= thick; }
    left -= bytes;
  }
}
