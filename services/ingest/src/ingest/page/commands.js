/** The calls of the API server, with the secret that was typed in. A site's pages never make them. */

/**
 * @param {string} path such as `publish`
 * @param {string} secret
 * @param {Record<string, unknown>} fields
 * @returns {Promise<any>} the answer. Rejects with an Error that says why the call was refused.
 */
export async function command(path, secret, fields) {
  let answer;
  try {
    answer = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ secret, ...fields }),
    });
  } catch {
    throw new Error("the connection was lost: try again");
  }
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.error ?? `the server answered ${answer.status}`);
  return body;
}
