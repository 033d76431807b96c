// The keys of the grid: arrows move, with Shift they select; and letters and digits for what is said of photos.

// `move(place, extend)` is called with the photo to go to.
export function arrows(tiles, count, move) {
  return (event) => {
    const to = target(event, tiles, count());
    if (to === null) return false;
    event.preventDefault();
    move(Math.min(Math.max(0, to), count() - 1), event.shiftKey);
    return true;
  };
}

function target(event, tiles, count) {
  const { focused, columns } = tiles;
  const all = event.ctrlKey || event.metaKey;
  const start = focused - (focused % columns);
  const page = tiles.rowsOnScreen() * columns;
  // The column stays, so from the last row but one the last row's end may be reached only from above it.
  const down = (by) => (focused + by < count ? focused + by : Math.max(focused, count - 1));
  switch (event.key) {
    case "ArrowLeft": return focused - 1;
    case "ArrowRight": return focused + 1;
    case "ArrowUp": return focused >= columns ? focused - columns : focused;
    case "ArrowDown": return down(columns);
    case "PageUp": return Math.max(focused % columns, focused - page);
    case "PageDown": return down(page);
    case "Home": return all ? 0 : start;
    case "End": return all ? count - 1 : start + columns - 1;
    default: return null;
  }
}

// Calls what a letter, digit or other key stands for; `commands` has them by name.
export function shortcuts(commands) {
  return (event) => {
    if (event.altKey || event.target.closest("input, select, textarea")) return false;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const all = event.ctrlKey || event.metaKey;
    const run = commands.digit && /^[0-9]$/.test(key) && !all ? () => commands.digit(Number(key)) : commands[all ? `Ctrl ${key}` : key];
    if (!run) return false;
    event.preventDefault();
    run();
    return true;
  };
}
