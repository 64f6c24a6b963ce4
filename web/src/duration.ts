/** A duration of proto JSON, such as `1.5s`, in milliseconds. An absent one is 0. */
export const durationOf = (d: string | undefined): number => (d === undefined ? 0 : parseFloat(d) * 1000 || 0);
