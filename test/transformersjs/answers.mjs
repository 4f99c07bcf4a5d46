/** What a model of the fixtures answers, by transformers.js: the same code in Node and in a page. */

const TEXTS = ['The film was great, and the music too!', 'a slow book', 'Would you see it again? No.'];
const PROMPT = 'the people of this place like';
const NEW_TOKENS = 8;

/** `bert`: logits of three texts. `decoder`: logits of a prompt, and the tokens that follow, with the cache. */
const ASK = {
  async bert({ AutoModelForSequenceClassification, AutoTokenizer }, folder, options) {
    const tokenizer = await AutoTokenizer.from_pretrained(folder);
    const model = await AutoModelForSequenceClassification.from_pretrained(folder, options);
    try {
      const { logits } = await model(await tokenizer(TEXTS, { padding: true, truncation: true }));
      return { logits: [...logits.data], tokens: [] };
    } finally {
      await model.dispose();
    }
  },

  async decoder({ AutoModelForCausalLM, AutoTokenizer }, folder, options) {
    const tokenizer = await AutoTokenizer.from_pretrained(folder);
    const model = await AutoModelForCausalLM.from_pretrained(folder, {
      ...options,
      model_file_name: 'decoder_model_merged',
    });
    try {
      const inputs = await tokenizer(PROMPT);
      const { logits } = await model(inputs);
      const generated = await model.generate({ ...inputs, max_new_tokens: NEW_TOKENS, do_sample: false });
      return { logits: [...logits.data], tokens: [...generated.data].map(Number) };
    } finally {
      await model.dispose();
    }
  },
};

/** `folder`: `bert` or `decoder`, or one of those and a preset. Throws what transformers.js throws. */
export async function answer(transformers, { folder, dtype, device }) {
  const [kind] = folder.split('-');
  return ASK[kind](transformers, folder, { dtype, device });
}

/** Only files of the folder: nothing from the net. */
export function stayLocal({ env }, modelPath) {
  env.allowRemoteModels = false;
  env.allowLocalModels = true;
  env.localModelPath = modelPath;
  env.useBrowserCache = false;
}
