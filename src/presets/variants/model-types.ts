/**
 * Model types for which transformers.js' `convert.py` left per_channel and reduce_range off: 28 names, spelt as there
 * (last revision: NO_PER_CHANNEL_REDUCE_RANGE_MODELS). For all others it turned both on.
 */
const OFF =
  'codegen gpt2 gpt_bigcode gptj gpt-neo gpt-neox mpt bloom llama gemma opt mistral falcon phi phi3 qwen2 stablelm ' +
  'starcoder2 openelm mobilellm olmo whisper vision-encoder-decoder owlv2 wavlm wav2vec2 unispeech unispeech-sat';

const NAMES: ReadonlySet<string> = new Set(OFF.split(' '));

export function isByChannelOff(modelType: string): boolean {
  return NAMES.has(modelType);
}
