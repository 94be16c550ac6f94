"""A tokenizer that gives every text back as it was: one token a byte. Made here, nothing is downloaded."""
from __future__ import annotations

from typing import Any


def bytes_tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    plain = Tokenizer(models.BPE({**{letter: n + 2 for n, letter in enumerate(letters)}, "<pad>": 0, "<|im_end|>": 1}, []))
    plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    plain.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, pad_token="<pad>", eos_token="<|im_end|>", padding_side="left",
                                        model_max_length=4096, clean_up_tokenization_spaces=False)
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    return tokenizer
