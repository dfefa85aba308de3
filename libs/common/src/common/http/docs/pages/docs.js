/** Shows the OpenAPI document, and sends requests to the service that this page comes from. */

SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#calls",
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  presets: [SwaggerUIBundle.presets.apis],
  validatorUrl: null, // nothing of another host
});
