// Times and rates as people read them. The same as tensorlab_widgets/_format.py: both are tested on
// src/vectors.json.

/** A time span, coarser the longer it is: "3.2 s", "1 min 15 s", "2 h 3 min", "2 d 8 h". */
export function duration(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  const hours = Math.round(seconds / 3600);
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** Throughput, turned round when a step takes longer than a second. */
export function rate(stepsPerSecond: number): string {
  if (stepsPerSecond < 1) return `${(1 / stepsPerSecond).toFixed(1)} s/step`;
  return `${stepsPerSecond.toFixed(stepsPerSecond >= 100 ? 0 : 1)} steps/s`;
}
