// The small curve beside a metric. The same as spark_path in tensorlab_widgets/_history.py: both are
// tested on src/vectors.json.

/** An SVG path through the points, scaled to width × height, whole pixels, with gaps at null. */
export function sparkPath(
  points: readonly (number | null)[],
  width: number,
  height: number,
): string {
  const finite = points.filter((p) => p !== null);
  if (finite.length === 0) return "";
  // Halved, so that the span of the largest floats does not overflow.
  const low = Math.min(...finite) / 2;
  const high = Math.max(...finite) / 2;
  const step = width / Math.max(points.length - 1, 1);
  let path = "";
  let penDown = false;
  points.forEach((point, i) => {
    if (point === null) {
      penDown = false;
      return;
    }
    const x = Math.floor(i * step + 0.5);
    const y =
      high > low
        ? Math.floor(((high - point / 2) / (high - low)) * height + 0.5)
        : Math.floor(height / 2);
    const alone = !penDown && (points[i + 1] ?? null) === null;
    path += `${penDown ? "L" : "M"}${x} ${y}${alone ? "h0" : ""}`;
    penDown = true;
  });
  return path;
}
