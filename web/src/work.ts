// Computations that take longer than a part of an animation frame. They are done in slices.

/** A computation that can be interrupted at each yield. */
export type Work<T> = Generator<undefined, T, undefined>;

/** The longest slice in ms. An animation frame has about 16 ms for everything. */
const slice = 3;

/** Does all of the work at once. */
export const whole = <T>(work: Work<T>): T => {
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
  }
};

/** Does one slice of the work before each animation frame, and calls `done` after the last one. The result ends it. */
export const inSlices = <T>(work: Work<T>, done: (value: T) => void): (() => void) => {
  const go = (): void => {
    const end = performance.now() + slice;
    do {
      const step = work.next();
      if (step.done) return done(step.value);
    } while (performance.now() < end);
    frame = requestAnimationFrame(go);
  };
  let frame = requestAnimationFrame(go);
  return () => cancelAnimationFrame(frame);
};
