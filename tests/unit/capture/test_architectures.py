"""What a capture multiplies is what torch's FlopCounterMode counts on the CPU; all models: ``architectures``, as a command."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="needs PyTorch, which `pip install stcsim[torch]` brings")
pytest.importorskip("transformers", reason="needs transformers, which `pip install stcsim[torch]` brings")

from tests.unit.capture.architectures import ROWS, Row, captured, counted  # noqa: E402

#: One of each kind: looks at values, takes rows by masks, folds, has experts, recurs, convolves.
SHORT = (
    "BertModel DebertaV2Model LongformerModel XLNetModel LlamaForCausalLM MixtralForCausalLM MambaForCausalLM "
    "BartForConditionalGeneration Swinv2Model ResNetModel PerceiverModel EncodecModel"
).split()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("row", [row for row in ROWS if row[0] in SHORT], ids=lambda row: row[0])
def test_macs_are_those_of_flop_counter_mode(row: Row) -> None:
    macs, folded = captured(*row)
    assert macs + folded == counted(*row)
