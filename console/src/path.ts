// The paths of lines, as SVG has them. Pure.

/** A tenth of a pixel is as exact as a line is seen. */
export const tenths = (at: number): string => String(Math.round(at * 10) / 10);

/** Through the heights `y` at the places `x`, with a break where one is missing. With a `bottom`, the area between them and it. */
export function linePath(x: string[], y: (string | null)[], bottom?: number): string {
  let [path, height] = ["", ""];
  // Where the line began, and the last place on it, which is written when the line leaves its height: most lines are level for long.
  let [first, last] = [-1, -1];
  const level = () => {
    if (last >= 0) path += `L${x[last]} ${height}`;
    last = -1;
  };
  const end = (at: number) => {
    level();
    if (first >= 0 && bottom !== undefined) path += `L${x[at]} ${bottom}L${x[first]} ${bottom}Z`;
    [first, height] = [-1, ""];
  };
  y.forEach((now, at) => {
    if (now === null) return end(at - 1);
    if (now === height) {
      last = at;
      return;
    }
    level();
    path += `${first < 0 ? "M" : "L"}${x[at]} ${now}`;
    if (first < 0) first = at;
    height = now;
  });
  end(y.length - 1);
  return path;
}
