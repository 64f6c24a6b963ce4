// What the tests measure and read in a page.

/** The address of everything that the page has asked for. */
export const requestsOf = (page) => {
  const urls = [];
  page.on("request", (r) => urls.push(r.url()));
  return urls;
};

/** Waits until the page has news from the coordinator and shows entries. */
export const live = (page) => page.waitForFunction(() => document.documentElement.dataset.connection === "live" && document.querySelector("tr[data-name], .empty") !== null, undefined, { timeout: 30_000, polling: 100 });

/** Waits until the page has not changed for half a second. */
export const rest = (page) => page.evaluate(() => new Promise((resolve) => {
  let timer;
  const watching = new MutationObserver(() => wait());
  const wait = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      watching.disconnect();
      resolve();
    }, 500);
  };
  watching.observe(document.querySelector("main"), { subtree: true, childList: true, attributes: true });
  wait();
}));

/** The times between animation frames for some seconds, in ms. */
export const frames = (page, seconds) => page.evaluate((ms) => new Promise((resolve) => {
  const at = [];
  const begin = performance.now();
  const step = (t) => {
    at.push(t);
    if (performance.now() - begin < ms) requestAnimationFrame(step);
    else resolve(at.slice(1).map((t, i) => t - at[i]));
  };
  requestAnimationFrame(step);
}), seconds * 1000);

/** The name and the status of each row that the page shows now, in the order of names. */
export const rows = (page) => page.evaluate(() => [...document.querySelectorAll("tr[data-name]")].map((r) => ({
  name: r.dataset.name, status: /[A-Z_]{4,}/.exec(r.querySelector(".c-status")?.textContent ?? "")?.[0] ?? "", unconfirmed: /unconfirmed/.test(r.querySelector(".c-status")?.textContent ?? ""),
})).sort((a, b) => (a.name < b.name ? -1 : 1)));

/**
 * Records when the page has drawn a status of a row for the first time: the result resolves with the
 * wall time in ms of the first task after the frame that has the word.
 */
export const drawn = (page, name, word) => page.evaluate(([name, word]) => new Promise((resolve) => {
  const shows = () => document.querySelector(`tr[data-name="${CSS.escape(name)}"] .c-status`)?.textContent.includes(word);
  const found = () => {
    if (!shows()) return false;
    watching.disconnect();
    const channel = new MessageChannel();
    channel.port1.onmessage = () => resolve(performance.timeOrigin + performance.now());
    channel.port2.postMessage(0);
    return true;
  };
  const watching = new MutationObserver(found);
  watching.observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
  found();
}), [name, word]);

/** The used heap of a page in bytes, after the garbage was collected. */
export const heap = async (page) => {
  const session = await page.context().newCDPSession(page);
  await session.send("HeapProfiler.collectGarbage");
  await session.send("HeapProfiler.collectGarbage");
  const { usedSize } = await session.send("Runtime.getHeapUsage");
  await session.detach();
  return usedSize;
};
