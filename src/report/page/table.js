
// Rows at a time: 10,000 at once would take the browser seconds.
const ROWS = 200;
// A table with a caption, whose columns sort it: `columns` are { title, of, text, kind }, where `of` gives what is compared and `text` what is read.
// With `find` it has a field that leaves the rows whose first column has these words.
function table(place, caption, columns, rows, find) {
  const body = element('tbody'), more = element('button', '', 'more'), head = element('tr');
  let wanted = rows, shown = 0;
  const text = (column, row) => column.text ? column.text(column.of(row), row) : String(column.of(row));
  const fill = until => {
    const part = document.createDocumentFragment();
    for (; shown < Math.min(until, wanted.length); shown++) {
      const row = element('tr');
      columns.forEach((column, at) => {
        const cell = element(at ? 'td' : 'th', undefined, (column.kind || '') + (column.goes?.(wanted[shown]) ? ' goes' : ''));
        if (!at) cell.scope = 'row';
        cell.append(element('bdi', text(column, wanted[shown])));
        row.append(cell);
      });
      part.append(row);
    }
    body.append(part);
    more.hidden = shown >= wanted.length; more.textContent = 'Show more (' + (wanted.length - shown).toLocaleString('en') + ' left)';
  };
  const again = () => { shown = 0; body.replaceChildren(); fill(ROWS); };
  columns.forEach((column, at) => {
    const cell = element('th', undefined, column.kind), button = element('button', column.title);
    cell.scope = 'col'; button.type = 'button';
    button.onclick = () => {
      // Numbers and times begin with the largest, words with A; once more turns it around.
      const now = cell.getAttribute('aria-sort'), falls = now ? now === 'ascending' : Boolean(column.kind), order = falls ? -1 : 1;
      head.querySelectorAll('[aria-sort]').forEach(other => other.removeAttribute('aria-sort'));
      cell.setAttribute('aria-sort', falls ? 'descending' : 'ascending');
      const compare = (a, b) => { const [x, y] = [column.of(a), column.of(b)]; return x === y ? 0 : x === null ? 1 : y === null ? -1 : (x < y ? -1 : 1) * order; };
      rows = rows.slice().sort(compare); wanted = wanted.slice().sort(compare);
      again(); say(caption + ', sorted by ' + column.title);
    };
    cell.append(button); head.append(cell);
  });
  if (find) {
    const line = element('div', undefined, 'find'), label = element('label', find), input = element('input');
    input.type = 'search'; input.autocomplete = 'off'; input.id = label.htmlFor = place.id + '-find';
    input.oninput = () => {
      const words = input.value.toLowerCase();
      wanted = rows.filter(row => text(columns[0], row).toLowerCase().includes(words));
      again(); say(count(wanted.length, 'row'));
    };
    line.append(label, input); place.append(line);
  }
  more.type = 'button'; more.onclick = () => fill(shown + ROWS);
  const wide = element('div', undefined, 'wide'), made = element('table'), top = element('thead');
  // What can be scrolled is reached by keys as well.
  wide.tabIndex = 0; wide.setAttribute('role', 'region'); wide.setAttribute('aria-label', caption);
  top.append(head); made.append(element('caption', caption, 'hidden'), top, body); wide.append(made); place.append(wide, more);
  fill(ROWS);
}
const bytes = (title, of) => ({ title, of, text: human, kind: 'number' });
const number = (title, of) => ({ title, of, text: n => n.toLocaleString('en'), kind: 'number' });
const date = (title, of) => ({ title, of, text: day, kind: 'day' });
