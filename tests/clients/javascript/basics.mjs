// What the scripts of this folder share.

export const url = process.env.PARLEY_URL;
export const key = process.env.PARLEY_KEY;
export const wrongKey = `pk-${"0".repeat(43)}`;
export const hello = [{ role: "user", content: "Hello" }];
export const city = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};

/** Do each check, and print a JSON object: "ok" or what went wrong, by name. */
export async function run(checks) {
  const results = {};
  for (const [name, check] of Object.entries(checks)) {
    try {
      await check();
      results[name] = "ok";
    } catch (error) {
      results[name] = String(error.stack ?? error);
    }
  }
  process.stdout.write(JSON.stringify(results));
}

/** Fail unless `action` fails in a way that `fits`. */
export async function fails(action, fits) {
  let answer;
  try {
    answer = await action();
  } catch (error) {
    if (!fits(error)) throw error;
    return;
  }
  throw new Error(`no error, but ${JSON.stringify(answer)}`);
}
