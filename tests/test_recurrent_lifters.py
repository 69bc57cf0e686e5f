"""What is particular to the lifters with recurrence: where dropout is, how they begin, and what they answer for."""

import pytest
import torch

from vidpose.common.errors import UsageError
from vidpose.lifters import create_lifter
from vidpose.training.recipe import read_recipe


def seq2seq(**settings):
    torch.manual_seed(0)
    return create_lifter("seq2seq", width=32, **settings)


def test_dropout_is_on_what_is_not_recurrent():
    inputs = torch.randn(4, 5, 32)
    # Nothing goes into the units, nor comes out of them: every pose is the one before, which begins with ones.
    lost = seq2seq(dropout=0.0, recurrent_dropout=0.0).train()
    lost.drop.p = 1.0
    torch.testing.assert_close(lost.regress(inputs), torch.ones(4, 5, 48))
    # The state goes on undisturbed: what the decoder's unit is given lies between -1 and 1, and is never dropped.
    lifter, given = seq2seq(dropout=0.5, recurrent_dropout=0.0).train(), []
    lifter.decoder_cell.hidden.register_forward_hook(lambda module, args, out: given.append(args[0]))
    lifter.regress(inputs)
    assert len(given) == 5
    assert all((hidden != 0).all() and hidden.abs().max() < 1 for hidden in given)
    assert not torch.equal(lifter.regress(inputs), lifter.regress(inputs))
    for part in ("dropout", "recurrent_dropout"):
        other = {"dropout": 0.0, "recurrent_dropout": 0.0} | {part: 0.5}
        assert not torch.equal((one := seq2seq(**other).train()).regress(inputs), one.regress(inputs))
    still = seq2seq(dropout=0.0, recurrent_dropout=0.0).train()
    torch.testing.assert_close(still.regress(inputs), still.regress(inputs))


def test_all_weights_begin_by_xaviers_uniform_rule():
    lifter = seq2seq()
    for projection in (lifter.encoder_in, lifter.decoder_in, lifter.decoder_out):
        fan_out, fan_in = projection.weight.shape
        bound = (6 / (fan_in + fan_out)) ** 0.5
        assert 0.9 * bound < projection.weight.abs().max() <= bound
        assert (projection.bias == 0).all()
    for cell in (lifter.encoder_cell, lifter.decoder_cell):
        # Both parts are of one matrix, from 64 inputs to 128 outputs.
        for linear in (cell.inputs, cell.hidden):
            assert 0.95 * (6 / 192) ** 0.5 < linear.weight.abs().max() <= (6 / 192) ** 0.5


@pytest.mark.parametrize("row", ["no-recurrent-dropout", "no-layer-norm-no-dropout"])
def test_table_4_switches_both_dropouts_off(row):
    model = read_recipe(f"hossain-table4/{row}").model
    assert (model["dropout"], model["recurrent_dropout"]) == (0.0, 0.0)


@pytest.mark.parametrize("name", ["lstm", "single-branch", "dual-branch"])
def test_hybrids_answer_for_all_frames_or_the_centre_one(name):
    torch.manual_seed(0)
    whole = create_lifter(name, width=16, frames=9).eval()
    centre = create_lifter(name, width=16, frames=9, answers="centre").eval()
    centre.load_state_dict(whole.state_dict())
    keypoints = torch.randn(2, 9, 17, 3)
    assert (whole.predicts, centre.predicts) == ("sequence", "centre")
    torch.testing.assert_close(centre(keypoints), whole(keypoints)[:, 4:5])
    with pytest.raises(UsageError, match="answers is 'last'"):
        create_lifter(name, answers="last")


def test_papers_train_in_float32_and_our_own_weights_in_bfloat16():
    assert not read_recipe("mixste").bf16
    assert read_recipe("cmu17/lstm").bf16
