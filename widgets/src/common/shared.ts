// What widgets often use of the language, under names of its own that a minifier can shorten: sources
// say `Math.max` as ever, and build.mjs puts these in its place. No other source may have these names.

export const {
  abs: Math_abs,
  ceil: Math_ceil,
  floor: Math_floor,
  log10: Math_log10,
  max: Math_max,
  min: Math_min,
  round: Math_round,
} = Math;
export const { isFinite: Number_isFinite } = Number;
