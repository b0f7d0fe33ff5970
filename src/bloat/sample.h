/*-------------------------------------------------------------------------
 *
 * sample.h
 *	  Which blocks are read, and the margin that they give.
 *
 * The room bloat: how much of a table or an index is waste, estimated from
 * pages read at random.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_BLOAT_SAMPLE_H
#define PGMAINT_BLOAT_SAMPLE_H

#include "utils/rel.h"

#include "base/compat.h"

/* values summed up per block; the margin is that of the first */
#define SAMPLE_VALUES 5

/* a run of neighbouring blocks, sampled at the same rate as the others */
typedef struct Stratum
{
	BlockNumber start;
	BlockNumber nblocks;
	BlockNumber nread;
	double mean;			   /* of the first value ... */
	double squares;			   /* ... and squared distances from it */
	double within;			   /* variance of the values themselves */
	double sum[SAMPLE_VALUES]; /* of every value */
} Stratum;

/* one relation of the sample: a table, its TOAST table, or an index */
typedef struct SamplePart
{
	Relation rel;
	BlockNumber nblocks;
	int nstrata;
	Stratum *strata;
	uint8 *taken;		 /* a bit per block */
	BlockNumber *blocks; /* what the round wants read, ascending */
	BlockNumber nwanted; /* number of these */
	double unit;		 /* how much of the first value makes up a block */
} SamplePart;

typedef struct BlockSample
{
	double precision;
	double model;	 /* how far off the model of a rewrite may be, as a share
					  * of all blocks, at 95 % */
	double sampling; /* the margin that comes of not reading every block */
	double margin;	 /* of both */
	bool full; /* every block is read, in order: SamplePart.blocks is NULL */
	int rounds;
	int nparts;
	SamplePart parts[2];
	SamplerState random;
} BlockSample;

extern void sample_init(BlockSample *sample, double precision, uint32 seed);
extern SamplePart *sample_add(BlockSample *sample, Relation rel);
extern bool sample_next_round(BlockSample *sample);
extern double sampling_margin_to_reach(const BlockSample *sample);
extern void sample_note(SamplePart *part, BlockNumber block,
						const double *values, double within);
extern void sample_judge(BlockSample *sample);
extern double sample_total(const SamplePart *part, int value);
extern double sample_bloat(const BlockSample *sample, double kept,
						   double *margin);
extern int64 sample_part_read(const SamplePart *part);
extern int64 sample_blocks_read(const BlockSample *sample);
extern int64 sample_blocks_total(const BlockSample *sample);

#endif /* PGMAINT_BLOAT_SAMPLE_H */
