// From so many letters on a cell is not made as narrow as its longest word.
const LONG_TEXT = 40;
const element = (name, text, classes) => {
  const made = document.createElement(name);
  if (text !== undefined && text !== null) made.textContent = text;
  if (classes) made.className = classes;
  return made;
};
export default function ({ data, parentElement, setTriggerValue }) {
  const { caption, columns, rows, sort, note, more } = data;
  const frame = element("div", null, "frame");
  const table = element("table");
  table.append(element("caption", caption));
  const head = element("tr");
  for (const column of columns) {
    const cell = element("th", null, column.is_number ? "number" : "");
    cell.scope = "col";
    if (column.is_sortable) {
      const isSorted = sort && sort.name === column.name;
      if (isSorted) cell.setAttribute("aria-sort", sort.is_descending ? "descending" : "ascending");
      const button = element("button", column.label + (isSorted ? (sort.is_descending ? " ▼" : " ▲") : ""));
      button.type = "button";
      button.title = "Sort by " + column.label + (column.help ? ". " + column.help : "");
      button.onclick = () => setTriggerValue("sort", column.name);
      cell.append(button);
    } else {
      cell.textContent = column.label;
      if (column.help) cell.title = column.help;
    }
    head.append(cell);
  }
  const thead = element("thead");
  thead.append(head);
  const body = element("tbody");
  for (const row of rows) {
    const line = element("tr");
    row.cells.forEach((text, position) => {
      const column = columns[position];
      const kind = column.is_number ? "number"
        : column.is_unbroken ? "unbroken"
        : text.length > LONG_TEXT ? "long" : "";
      const cell = element(position === 0 ? "th" : "td", null, kind);
      if (position === 0) {
        cell.scope = "row";
        if (row.indent) cell.style.paddingLeft = `${row.indent * 1.25}rem`;
      }
      if (position === 0 && row.href) {
        const link = element("a", text);
        link.href = row.href;
        link.onclick = (event) => {
          if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
          event.preventDefault();
          // As when somebody goes back or forth: Streamlit looks at the address, and asks for its page.
          history.pushState({}, "", link.href);
          window.dispatchEvent(new PopStateEvent("popstate"));
        };
        cell.append(link);
      } else cell.textContent = text;
      const detail = row.details && row.details[position];
      if (detail) cell.append(element("div", detail, "detail"));
      line.append(cell);
    });
    body.append(line);
  }
  table.append(thead, body);
  frame.append(table);
  const children = [frame];
  if (note || more) {
    const paragraph = element("p", note || "");
    if (more) {
      const button = element("button", more);
      button.type = "button";
      button.onclick = () => setTriggerValue("more", true);
      paragraph.append(button);
    }
    children.push(paragraph);
  }
  // Who comes by keyboard scrolls a table that is wider than the screen.
  const settle = () => {
    const isWider = frame.scrollWidth > frame.clientWidth;
    if (isWider) { frame.tabIndex = 0; frame.setAttribute("role", "region"); frame.setAttribute("aria-label", caption); }
    else { frame.removeAttribute("tabindex"); frame.removeAttribute("role"); frame.removeAttribute("aria-label"); }
  };
  let root = parentElement.querySelector("[data-root]");
  if (!root) { root = element("div"); root.dataset.root = ""; parentElement.append(root); }
  root.replaceChildren(...children);
  const observer = new ResizeObserver(settle);
  observer.observe(frame);
  settle();
  return () => observer.disconnect();
}
