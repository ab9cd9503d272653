// Colours of values: viridis, perceptually uniform and readable for the colour-blind (S. van der Walt, N. Smith, 2015; CC0).

export const viridis = ['#440154', '#472d7b', '#3b528b', '#2c728e', '#21918c', '#28ae80', '#5ec962', '#addc30', '#fde725'];

/** Colour of `share` of the way from the worst (0) to the best (1) value; clamped. */
export function viridisColor(share: number): string {
  const at = Math.max(0, Math.min(1, share)) * (viridis.length - 1);
  const low = Math.min(Math.floor(at), viridis.length - 2);
  const [from, to] = [channels(viridis[low] as string), channels(viridis[low + 1] as string)];
  const mixed = from.map((c, i) => Math.round(c + ((to[i] ?? c) - c) * (at - low)));
  return `#${mixed.map((c) => c.toString(16).padStart(2, '0')).join('')}`;
}

/** Black or white, whichever reads better on viridisColor(share). */
export const textColorOn = (share: number) => (share >= 0.45 ? '#111827' : '#ffffff');

const channels = (hex: string) => [1, 3, 5].map((i) => Number.parseInt(hex.slice(i, i + 2), 16));
