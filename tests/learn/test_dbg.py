from test_loop import *
def test_dbg(multi, multi_src, make_bunch):
    learn, book, kept = tiny_learner(multi), Textbook(multi.c, 1e-2), Weights()
    learn.fit_one_cycle(3, slice(1e-3, 4e-2), callbacks=[kept])
    wanted = book.fit(make_bunch(multi_src), 3, [1e-3, 40**0.5 * 1e-3, 4e-2])
    for s,(a,b) in enumerate(zip(kept.after, wanted)):
        for k in a: print(s,k,float((a[k].float()-b[k].float()).abs().max()))
    print(learn.opt.param_groups[0]['betas'], book.optimizer.param_groups[0]['betas'])
    print(learn.recorder.lrs, learn.recorder.moms)
