// The page that shows the OpenAPI document: starts Swagger UI, which may run no inline script here.

const place = document.getElementById("docs");

// Its dark colours hang on a class of the page.
const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

/** Return a cookie's value, or "". */
function cookie(name) {
  const found = document.cookie.split("; ").find((one) => one.startsWith(`${name}=`));
  return found ? decodeURIComponent(found.slice(name.length + 1)) : "";
}

globalThis.SwaggerUIBundle({
  url: place.dataset.schema,
  domNode: place,
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  presets: [globalThis.SwaggerUIBundle.presets.apis],
  requestInterceptor: (request) => {
    // Who is signed in may try all below /api/ without a key.
    if (new URL(request.url, location).origin === location.origin && !request.headers.Authorization) {
      request.headers["X-CSRFToken"] = cookie("csrftoken");
    }
    return request;
  },
});
