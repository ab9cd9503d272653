/** Numbers in [0, 1) that follow from the seed (Park and Miller, 1988). */
export function randomFrom(seed) {
  let state = seed % 2_147_483_647 || 1;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}
