// What went wrong, for the person in front of the page, by the code of the service's error.
//
// The service's own words are for programs and for whoever runs it; the page keeps them under details.

const SMALLER = "Most phones and viewers can export a smaller copy; 480 pixels on the shorter side are enough.";
const NEWER = "The page and the service don't fit together. Reload the page.";
const OPERATOR = "Choose another model above, or tell whoever runs this service.";

export const TEXTS = {
  // about the photo
  not_an_image: ["This file is no photo", "It holds something else, whatever its name says. Choose a JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF."],
  unsupported_format: ["This kind of image can't be read here", "Open it in a viewer, save it as JPEG or PNG, and choose that copy."],
  broken_image: ["This photo is damaged", "The file is cut short or broken, often by an interrupted copy. Copy it again from where it came, or choose another."],
  too_many_bytes: ["This photo's file is too large", SMALLER],
  too_many_pixels: ["This photo has too many pixels", SMALLER],
  too_much_memory: ["This photo needs too much memory", SMALLER],
  too_many_files: ["Too many photos at once", "Choose fewer of them."],
  not_a_model: ["This file is no model", "Choose an ONNX file, or a bundle as a zip."],
  bad_archive: ["This zip can't be used", "Make it again, with a folder of photos for each label."],
  bad_input: ["This file can't be used", "Choose another photo."],
  unreadable: ["This file can't be opened", "It is a folder, or was moved or changed after it was chosen. Choose it again."],
  // about the connection
  gone: ["The service doesn't answer", "Is it running, and are you connected? Try again when it is."],
  body_too_slow: ["The upload was too slow", `The connection broke off before the photo had arrived. ${SMALLER}`],
  client_gone: ["The connection broke off", "Try again."],
  queue_full: ["Many photos are waiting just now", "The service is busy. There will be room in a moment."],
  no_capacity: ["The service is busy", "There will be room in a moment."],
  out_of_memory: ["The service is short of memory", "It is busy with other photos. Try again in a moment."],
  deadline_passed: ["That took too long", "The service was too busy to finish in time. Try again in a moment."],
  // about the key
  unauthenticated: ["This service asks for a key", "Whoever runs it can give you one."],
  too_many_wrong_keys: ["Too many wrong keys", "Wait a little, then try again with the right one."],
  key_limit_exceeded: ["Too many requests with this key", "The limit of the key has been reached. Try again in a moment."],
  forbidden: ["Your key doesn't allow this", "Whoever runs this service can give you another."],
  access_denied: ["You may not do this here", "Whoever runs this service can allow it."],
  // about kept photos
  store_off: ["This service keeps no photos", "Whoever runs it can change that."],
  unknown_capture: ["This photo is no longer kept", "It was deleted, or made room for newer ones."],
  unknown_dataset: ["This collection of photos is gone", "It was deleted. Reload the page to see those that are there."],
  unknown_photo: ["This photo is gone", "It was deleted from its collection."],
  unknown_upload: ["The file is no longer here", "Files that wait for an import are removed after a while. Send it again."],
  store_full: ["There is no room for more photos", "Delete some, or ask whoever runs this service for more room."],
  store_failed: ["The photo can't be kept now", "Tell whoever runs this service: its disk may be full."],
  unknown_index: ["This service has no such collection", "Whoever runs it can add one."],
  index_invalid: ["The collection can't be searched now", "Tell whoever runs this service: it must be made again."],
  index_error: ["The collection can't be searched", "Tell whoever runs this service."],
  store_error: ["The photo can't be kept", "Tell whoever runs this service."],
  // about training jobs
  training_unavailable: ["This service can't train", "Whoever runs it can install what training needs."],
  models_read_only: ["The new version has no place", "Whoever runs this service can let it write to the models folder."],
  unknown_job: ["This job is no longer here", "Its record was removed."],
  job_conflict: ["The job can't do that now", "Reload the page to see how far it is."],
  job_error: ["The job can't be run", "Tell whoever runs this service."],
  // about the model
  model_store_unavailable: ["The models can't be fetched now", "The models that are loaded go on serving. Try again later."],
  bundle_missing: ["The model's folder is gone", "The model goes on serving. Whoever runs this service can put its folder back."],
  pin_file_invalid: ["The list of choices is damaged", "Whoever runs this service can repair pins.json in the models folder."],
  unknown_model: ["This model is no longer here", "Reload the page to see those that are."],
  model_not_ready: ["This model isn't ready", "It is loading, or was switched off. Try again in a moment, or choose another model above."],
  not_in_model: ["This model doesn't know that label", "Choose one of the labels that appear while you type."],
  model_error: ["This model can't do that", OPERATOR],
  model_required: ["Which model?", "Choose one above."],
  model_output_invalid: ["This model gave no usable answer", `Its numbers are not finite. ${OPERATOR}`],
  bundle_error: ["This model can't be used", OPERATOR],
  bundle_invalid: ["This model's files are damaged", OPERATOR],
  bundle_mismatch: ["This model's files don't fit together", OPERATOR],
  // about the page and the service
  bad_parameter: ["The service didn't understand the page", NEWER],
  device_unavailable: ["The service's processor isn't available", "Tell whoever runs this service."],
  internal: ["Something broke in the service", "Try again. If it happens again, tell whoever runs it the request's number below."],
  page: ["Something broke on this page", "Reload it. The browser's console says more."],
};

// The title and the sentence for an error of the service, of the network, or of the page itself.
export function textOf({ code, status }) {
  if (TEXTS[code]) return TEXTS[code];
  if (status >= 500) return TEXTS.internal;
  if (status >= 400) return ["The service refused this", "What it said stands below."];
  return TEXTS.page;
}
