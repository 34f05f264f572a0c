
'use strict';
const data = JSON.parse(document.getElementById('data').textContent);
const $ = id => document.getElementById(id);
// Text is only ever set as text: names come from anywhere.
const element = (name, text, kind) => {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  return made;
};
const DAY = 86400;
// Powers of 1000, as disks and registries count.
const human = bytes => {
  let unit = '';
  for (const next of ['kB', 'MB', 'GB', 'TB', 'PB']) {
    if (bytes < (unit ? 999.95 : 1000)) break;
    bytes /= 1000; unit = next;
  }
  return unit ? bytes.toFixed(1) + ' ' + unit : bytes + ' B';
};
const count = (number, what) => number.toLocaleString('en') + ' ' + what + (number === 1 ? '' : 's');
const time = seconds => { const made = new Date(seconds * 1000); return isNaN(made) ? null : made.toISOString(); };
const day = seconds => (seconds === null ? null : time(seconds)?.slice(0, 10)) ?? 'not known';
const percent = (part, all) => all ? (100 * part / all).toFixed(part && part / all < 0.01 ? 2 : 0) + '%' : '0%';
// A name in a sentence; whoever has 4 KiB of it reads the rest in the table.
const brief = name => name.length > 120 ? name.slice(0, 119) + '…' : name;
const names = numbers => numbers.slice(0, 12).map(number => brief(data.images[number].name)).join(', ') + (numbers.length > 12 ? ', …' : '');
const sum = (list, bytes) => list.reduce((all, item) => all + bytes(item), 0);
// For those who do not see what changed.
const say = words => { $('said').textContent = words; };
