// The page that begins a conversation: its form is sent as it is.

import { Composer } from "./composer.js";

new Composer(document.getElementById("composer"), () => false);
