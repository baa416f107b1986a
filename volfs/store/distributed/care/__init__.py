"""Care of a store in a bucket.

Imports go downward::

    bucket_care                 the contract
    bucket_collector            gc, step by step
    undeletion, gc_report       bringing back; what gc did, in the words of the contract
    gc_parts, gc_survey         what gc needs of a store; what it decides on
    fences, live_copies, sweeping
                                closing in all logs; copies of live records; what follows a verdict
    pack_marks                  what is in use in each pack
    gc_roots, gc_clock          what is needed; the time of the store
"""
