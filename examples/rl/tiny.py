"""A language model of a few thousand parameters and its tokenizer, made here and now: nothing is downloaded.

Its words are whole tokens, so that it can learn something by reinforcement in seconds.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"


def tokenizer_of(words: Sequence[str]) -> Any:
    """A transformers tokenizer whose tokens are `words`, which a text must separate by spaces."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: n for n, word in enumerate([PAD, END, UNKNOWN, *words])}
    plain = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    plain.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    plain.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=plain, pad_token=PAD, eos_token=END, unk_token=UNKNOWN, padding_side="left",
                                   model_max_length=64, clean_up_tokenization_spaces=False)


def model_of(tokenizer: Any, *, width: int = 32, layers: int = 2, seed: int = 0) -> Any:
    """A causal model with random weights."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    return LlamaForCausalLM(LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=width, intermediate_size=2 * width, num_hidden_layers=layers, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=64, pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None, tie_word_embeddings=False))
