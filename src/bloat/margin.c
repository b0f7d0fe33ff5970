/*-------------------------------------------------------------------------
 *
 * margin.c
 *	  The 95 % margin of a sample.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "bloat/sample.h"

/*
 * How far from the mean 95 % of a t distribution reach to either side, and a
 * little more: stopping as soon as the margin looks small enough favours
 * samples whose variance is too small.
 */
static double
t_quantile(double df)
{
	return 2.1 + 2.37 / df + 2.82 / (df * df) + 2.6 / (df * df * df);
}

/*
 * Computes the 95 % margin of the sum of the first value over all relations,
 * as a share of all blocks, part->unit being worth one block.
 *
 * To the variance that was seen, that of two more blocks is added, as far from
 * the mean as a block can be.  For shares near zero or one that is the
 * interval of Agresti and Coull, which holds where the normal approximation
 * does not: no empty page among hundreds does not mean that there is none.
 */
void
sample_judge(BlockSample *sample)
{
	double total = sample_blocks_total(sample);
	double nread = sample_blocks_read(sample);
	double variance = 0;
	double parts_of_df = 0;
	double unseen;
	double df;

	sample->sampling = 0;
	sample->margin = sample->model;
	if (nread == 0)
		return;

	for (int i = 0; i < sample->nparts; i++)
	{
		SamplePart *part = &sample->parts[i];

		for (int j = 0; j < part->nstrata; j++)
		{
			Stratum *stratum = &part->strata[j];
			double n = stratum->nread;
			double share = n / stratum->nblocks;
			double weight = stratum->nblocks / total / part->unit;
			double mine = 0;

			if (n == 0)
				continue;
			if (n > 1 && share < 1)
			{
				mine = weight * weight * (1 - share) * stratum->squares /
					   (n - 1) / n;
				parts_of_df += mine * mine / (n - 1);
			}

			/*
			 * What is uncertain within the blocks is in the variance between
			 * them already, but for the share that was read.
			 */
			variance +=
				mine + weight * weight * share * stratum->within / (n * n);
		}
	}

	unseen = (1 - nread / total) * 2 / (nread * nread);
	variance += unseen;
	if (variance <= 0)
		return;

	/* Satterthwaite: few strata may hold all of the variance */
	df = parts_of_df > 0 ? variance * variance / parts_of_df : 1000;
	sample->sampling = t_quantile(Max(df, 2)) * sqrt(variance);
	sample->margin = hypot(sample->sampling, sample->model);
}

/*
 * How many blocks are bloat if so many are kept, and the margin of that as a
 * share of all blocks.
 *
 * A rewrite may make a relation larger: new pages are filled in the order of
 * rows, old ones by whatever fitted.  There is no bloat then, and the margin
 * reaches to the growth and beyond.
 */
double
sample_bloat(const BlockSample *sample, double kept, double *margin)
{
	double total = sample_blocks_total(sample);

	*margin = sample->margin;
	if (kept > total && total > 0)
		*margin += (kept - total) / total;
	return Max(total - kept, 0);
}
