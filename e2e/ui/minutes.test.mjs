// G15: from the command of the README to a live page.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { live } from "./browser.mjs";
import { openPage, startChromium, timing } from "./rig.mjs";

const project = join(dirname(fileURLToPath(import.meta.url)), "../..");

test("G15: go run, and the page is live", async (t) => {
  const browser = await startChromium(t);
  for (const what of ["first", "second"]) {
    const begin = performance.now();
    const child = spawn("go", ["run", "./cmd/meshhealth", "demo", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"], { cwd: project, stdio: ["ignore", "pipe", "inherit"], detached: true });
    const ended = once(child, "exit");
    try {
      const url = await new Promise((resolve, reject) => {
        createInterface({ input: child.stdout }).on("line", (line) => {
          const found = /^page\s+(http\S+)/.exec(line);
          if (found) resolve(found[1]);
        });
        child.on("exit", (code) => reject(new Error(`the demo has ended with ${code}`)));
      });
      const page = await openPage(browser, url);
      await live(page);
      timing(t, "G15", `seconds from the ${what} \`go run\` to a live page`, (performance.now() - begin) / 1000, what === "first" ? 60 : 2);
      await page.close();
    } finally {
      process.kill(-child.pid, "SIGINT");
      await ended;
    }
  }
});
