// Shows the service's own OpenAPI document, light or dark as the system is; nothing is asked of any other host.
const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

// Swagger UI sends what it shows, and shows an invented value in each field of a form: optional ones begin empty.
function emptyForms(api) {
  for (const operations of Object.values(api.paths))
    for (const { requestBody } of Object.values(operations)) {
      const { properties = {}, required = [] } = requestBody?.content?.["multipart/form-data"]?.schema ?? {};
      for (const [name, property] of Object.entries(properties)) if (!required.includes(name)) property.example = "";
    }
  return api;
}

fetch("openapi.json")
  .then((answer) => answer.json())
  .then((api) => {
    window.ui = SwaggerUIBundle({
      spec: emptyForms(api),
      dom_id: "#swagger-ui",
      deepLinking: true,
      displayRequestDuration: true,
      tryItOutEnabled: true,
      validatorUrl: null,
      syntaxHighlight: { theme: "nord" },
      presets: [SwaggerUIBundle.presets.apis],
    });
  });
