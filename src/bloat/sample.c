/*-------------------------------------------------------------------------
 *
 * sample.c
 *	  Which blocks are read, and the margin that they give.
 *
 * A relation is cut into strata of neighbouring blocks, and every stratum is
 * sampled at random, without replacement and at the same rate.  Bloat comes
 * in stretches (a DELETE of the oldest rows, say), which strata take out of
 * the variance: only those that a stretch begins or ends in add to it.
 *
 * Reading goes on in rounds until the 95 % margin is as small as was asked
 * for.  There is no cap that would stop it before that.  Where a good part of
 * the blocks would have to be read, all of them are: that is as quick, in
 * order, and leaves no sampling error.
 *
 * What is left then is how well the caller can tell what a rewrite makes of
 * the blocks, which it says in BlockSample.model.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"

#include "bloat/sample.h"

/* relations up to this size are read as a whole, unless less will do */
#define FULL_BLOCKS(precision) ((precision) < 0.025 ? 2000 : 0)

/* how many strata */
#define STRATA 64

/*
 * How many blocks are in the first round.  From 3 / precision on they may be
 * enough, if they are all alike.
 */
#define FIRST_BLOCKS(precision) Min(Max(6.4 / (precision), 256), 640)

/* a sample of more than one block in this many is not worth sampling */
#define FULL_SHARE 3

/*
 * precision is the margin to reach, 0 to 1 of all blocks.  The same seed
 * draws the same blocks as long as the relation has as many.
 */
void
sample_init(BlockSample *sample, double precision, uint32 seed)
{
	memset(sample, 0, sizeof(BlockSample));
	sample->precision = precision;
	sampler_state_init(seed, &sample->random);
}

/*
 * Adds a relation, as long as it is now: what is added to it meanwhile is
 * not looked at.
 */
SamplePart *
sample_add(BlockSample *sample, Relation rel)
{
	SamplePart *part = &sample->parts[sample->nparts++];

	Assert(sample->nparts <= lengthof(sample->parts));
	part->rel = rel;
	part->nblocks = RelationGetNumberOfBlocks(rel);
	part->unit = BLCKSZ;
	return part;
}

int64
sample_blocks_total(const BlockSample *sample)
{
	int64 total = 0;

	for (int i = 0; i < sample->nparts; i++)
		total += sample->parts[i].nblocks;
	return total;
}

int64
sample_part_read(const SamplePart *part)
{
	int64 total = 0;

	for (int i = 0; i < part->nstrata; i++)
		total += part->strata[i].nread;
	return total;
}

int64
sample_blocks_read(const BlockSample *sample)
{
	int64 total = 0;

	for (int i = 0; i < sample->nparts; i++)
		total += sample_part_read(&sample->parts[i]);
	return total;
}

/*
 * What the value amounts to in all blocks of the relation.
 */
double
sample_total(const SamplePart *part, int value)
{
	double total = 0;

	for (int i = 0; i < part->nstrata; i++)
	{
		const Stratum *stratum = &part->strata[i];

		if (stratum->nread > 0)
			total += stratum->sum[value] * stratum->nblocks / stratum->nread;
	}
	return total;
}

static void
cut_into_strata(SamplePart *part, int nstrata)
{
	part->nstrata = part->nblocks == 0 ? 0 : nstrata;
	part->strata = palloc0(sizeof(Stratum) * nstrata);
	for (int i = 0; i < part->nstrata; i++)
	{
		Stratum *stratum = &part->strata[i];

		stratum->start = (uint64) part->nblocks * i / nstrata;
		stratum->nblocks =
			(uint64) part->nblocks * (i + 1) / nstrata - stratum->start;
	}
}

/*
 * The blocks of all relations, each once and in order, from here on.
 * Whatever was read before is forgotten, because the order matters to those
 * who model how rows are packed into new pages.
 */
static void
want_everything(BlockSample *sample)
{
	sample->full = true;
	for (int i = 0; i < sample->nparts; i++)
	{
		cut_into_strata(&sample->parts[i], 1);
		sample->parts[i].blocks = NULL;
		sample->parts[i].nwanted = sample->parts[i].nblocks;
	}
}

static int
compare_blocks(const void *a, const void *b)
{
	BlockNumber left = *(const BlockNumber *) a;
	BlockNumber right = *(const BlockNumber *) b;

	return (left > right) - (left < right);
}

/*
 * Draws blocks of the stratum that were not drawn before, until it has the
 * share of them that was asked for.
 */
static void
draw_blocks(BlockSample *sample, SamplePart *part, Stratum *stratum,
			double rate)
{
	BlockNumber target = (BlockNumber) rint(stratum->nblocks * rate);
	BlockNumber first = part->nwanted;

	/* a variance takes two */
	target = Min(Max(target, 2), stratum->nblocks);

	for (BlockNumber n = stratum->nread; n < target;)
	{
		BlockNumber block =
			(BlockNumber) (stratum->nblocks *
						   sampler_state_fract(&sample->random));

		CHECK_FOR_INTERRUPTS();
		block = stratum->start + Min(block, stratum->nblocks - 1);
		if (part->taken[block / 8] & (1 << (block % 8)))
			continue;
		part->taken[block / 8] |= 1 << (block % 8);
		part->blocks[part->nwanted++] = block;
		n++;
	}
	qsort(part->blocks + first, part->nwanted - first, sizeof(BlockNumber),
		  compare_blocks);
}

static void
want_sample(BlockSample *sample, double rate)
{
	for (int i = 0; i < sample->nparts; i++)
	{
		SamplePart *part = &sample->parts[i];
		Size room =
			(Size) ceil(part->nblocks * rate) + 3 * (Size) part->nstrata;

		if (part->blocks != NULL)
			pfree(part->blocks);
		part->blocks = MemoryContextAllocHuge(CurrentMemoryContext,
											  room * sizeof(BlockNumber));
		part->nwanted = 0;
		for (int j = 0; j < part->nstrata; j++)
			draw_blocks(sample, part, &part->strata[j], rate);
		Assert(part->nwanted <= room);
	}
}

/*
 * What is left of the margin to reach for the sample itself.  Reading more does
 * not make up for a model that may be far off: then the margin stays larger
 * than what was asked for.
 */
double
sampling_margin_to_reach(const BlockSample *sample)
{
	double asked = sample->precision * sample->precision;

	return sqrt(Max(asked - sample->model * sample->model, 0.8 * asked));
}

/*
 * Chooses the blocks to read next; returns false when the margin is small
 * enough.
 *
 * Rounds grow by what the margin reached so far lets expect, so that there
 * are few of them: every look at the margin is another chance to stop at a
 * sample that by accident looks smoother than the relation is.
 */
bool
sample_next_round(BlockSample *sample)
{
	int64 total = sample_blocks_total(sample);
	double wanted;

	if (total == 0 || sample->full)
		return false;

	if (sample->rounds++ == 0)
	{
		wanted = FIRST_BLOCKS(sample->precision);
		if (total <= FULL_BLOCKS(sample->precision))
			wanted = total;
		else
		{
			for (int i = 0; i < sample->nparts; i++)
			{
				SamplePart *part = &sample->parts[i];
				double nstrata = rint((double) STRATA * part->nblocks / total);

				cut_into_strata(part, Max((int) nstrata, 1));
				part->taken = MemoryContextAllocExtended(
					CurrentMemoryContext, part->nblocks / 8 + 1,
					MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
			}
		}
	}
	else
	{
		double nread = sample_blocks_read(sample);
		double ratio = sample->sampling / sampling_margin_to_reach(sample);

		if (ratio <= 1)
			return false;
		wanted = nread * Min(Max(1.05 * ratio * ratio, 1.25), 8);
	}

	if (wanted > (double) total / FULL_SHARE)
		want_everything(sample);
	else
		want_sample(sample, wanted / total);
	return true;
}

/*
 * Records what was found on a block.  "within" is the variance of the first
 * value if that is an estimate itself, else zero.
 */
void
sample_note(SamplePart *part, BlockNumber block, const double *values,
			double within)
{
	int i = (int) ((uint64) block * part->nstrata / part->nblocks);
	Stratum *stratum;
	double distance;

	/* division rounds down, and may so miss by one */
	while (i > 0 && block < part->strata[i].start)
		i--;
	while (i + 1 < part->nstrata && block >= part->strata[i + 1].start)
		i++;

	stratum = &part->strata[i];
	stratum->nread++;
	distance = values[0] - stratum->mean;
	stratum->mean += distance / stratum->nread;
	stratum->squares += distance * (values[0] - stratum->mean);
	stratum->within += within;
	for (int j = 0; j < SAMPLE_VALUES; j++)
		stratum->sum[j] += values[j];
}
