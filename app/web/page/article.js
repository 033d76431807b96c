// "an Egyptian cat", "a unicycle", but "sunglasses", "broken" and "COVID-19" as they are.
//
// A label may be any text. It gets an article only where it reads as one thing in English:
// its last word is in lower case, is no plural, no adjective and no substance.

const NOT_ONE_THING = new Set(
  `bad benign bent blank blurry broken burnt clean clear closed crying damaged dark dead defective dirty dry empty fake false
  female flooded fresh full good happy healthy immature frozen torn worn indoor indoors infected intact left male malignant
  mature missing neutral new no none normal abnormal ok okay nok old open other others outdoor outdoors
  positive negative raw real right ripe unripe rotten sad safe unsafe scared sick sleepy smooth surprised true
  unknown unlabeled unlabelled wet yes young angry calm cloudy red green blue yellow white black brown pink purple grey gray foggy rainy snowy sunny stormy hot cold

  art bacon beef bread broccoli butter cardboard carbonara cheese china chocolate clothing coal coffee
  concrete consomme corn cotton damage dough dust fashion fat flour fog food furniture garbage gold
  grass gravel guacamole hail hay honey ink jean jewelry juice leather lettuce lightning litter lotion luggage
  meat metal milk mud music noise nothing oil pasta perfume plastic pneumonia pollen pork rain rapeseed
  rice rubbish rust sand sauce seafood silk sky smoke snow soil soup spinach spray sugar
  sunscreen thatch tissue tofu trash tuberculosis velvet waste water weed wheat wine wool yoghurt yogurt
  cream malaria eczema psoriasis mildew rot blight scab mosaic
  people men women children teeth feet geese mice sheep cattle deer police scissors`.split(/\s+/),
);
// A substance by itself, but one thing as "wine glass", "traffic light", "prairie chicken".
const ALONE = new Set("chicken day fire fish glass gold ice light night paper potato salt silver squash steel wood".split(" "));
const SINGULAR_S = /(ss|us|is|as|ics|ops)$/; // glass, bus, mantis, patas, triceratops: not plurals
const ADJECTIVE = /(ed|ous|ful|less|able|ible)$/;
const NOUNS_LIKE_ADJECTIVES = new Set(
  "bed shed seed weed moped bobsled dogsled sled biped quadruped reed hundred airbed seabed watershed table vegetable cable constable stable convertible collectible bible thimble".split(" "),
);
const SOUNDS_LIKE_YOU = /^(uni(?!n|m)|use|usu|ura|uri|ute|uto|uku|ufo|eu|ewe|yu|ubi|one\b|once\b|ouija)/i;
const SILENT_H = /^(hour|honest|honou?r|heir)/i;
const LETTERS_WITH_AN = /^[AEFHILMNORSX]$/;

// The label with its article where it takes one.
export function named(label) {
  return takesArticle(label) ? `${article(label)} ${label}` : label;
}

export function takesArticle(label) {
  const words = label.replace(/\s*\(.*\)\s*$/, "").replaceAll("_", " ").trim().split(/\s+/);
  const last = words.at(-1);
  // "ear of corn" and "hen-of-the-woods" are one thing by their first noun, "head cabbage" by its last.
  const parts = words.flatMap((word) => word.split("-"));
  const of = parts.indexOf("of");
  const noun = parts.at(of > 0 ? of - 1 : -1).toLowerCase();
  if (!/^[a-z][A-Za-z'’-]*$/.test(last) && !/^[A-Za-z]-[a-z]+$/.test(last)) return false; // a name, a code, another script
  if (words.some((word) => !/^[A-Za-z][A-Za-z'’-]*$/.test(word))) return false;
  if (/^(a|an|the|no|not|with|without|some|any|in|on)$/i.test(words[0])) return false;
  if ((words.length === 1 && ALONE.has(noun)) || NOT_ONE_THING.has(noun) || NOT_ONE_THING.has(words.join(" ").toLowerCase())) return false;
  if (noun.endsWith("s") && !SINGULAR_S.test(noun)) return false;
  if (noun.length < 2) return false;
  return !ADJECTIVE.test(noun) || NOUNS_LIKE_ADJECTIVES.has(noun) || /(eed|ead)$/.test(noun);
}

// By the sound that the label begins with: an hour, a unicycle, an MRI scan, a T-shirt.
function article(label) {
  const first = label.split(/[\s_]/)[0];
  const spelled = first.match(/^([A-Z])(?=-|$|[A-Z]*$)/)?.[1];
  if (spelled && (first.length === 1 || first.includes("-") || first === first.toUpperCase())) {
    return LETTERS_WITH_AN.test(spelled) ? "an" : "a";
  }
  if (SILENT_H.test(first)) return "an";
  if (SOUNDS_LIKE_YOU.test(first)) return "a";
  return /^[aeiou]/i.test(first) ? "an" : "a";
}
