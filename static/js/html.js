// The one place where HTML enters the page. It comes from the server, which has made it safe.

const policy = globalThis.trustedTypes?.createPolicy("parley", { createHTML: (html) => html });

/** Return the server's HTML as nodes. */
export function fragment(html) {
  const template = document.createElement("template");
  template.innerHTML = policy ? policy.createHTML(html) : html;
  return template.content;
}
