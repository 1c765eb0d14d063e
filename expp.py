
import subprocess,sys,re,os
for job in sys.argv[2].split(","):
  for mode in sys.argv[1].split(","):
    r=[]
    for rep in range(3):
        p=subprocess.Popen(["node","exp.mts",mode,job],stdout=subprocess.PIPE)
        k=bytes.fromhex(p.stdout.readline().decode().strip())
        mem=open(f"/proc/{p.pid}/mem","rb",0)
        hits=[]
        for l in open(f"/proc/{p.pid}/maps"):
            m=re.match(r"([0-9a-f]+)-([0-9a-f]+) (rw\S+) \S+ \S+ \S+ *(.*)",l)
            if not m: continue
            s,e=int(m[1],16),int(m[2],16)
            try:
                mem.seek(s); b=mem.read(e-s)
            except Exception: continue
            for w in range(4):
                i=-1
                while (i:=b.find(k[8*w:8*w+8],i+1))>=0: hits.append(f"{m[4][-12:] or 'anon%dk'%((e-s)//1024)}:w{w}")
        p.kill(); p.wait()
        r.append(" ".join(hits))
    print(job,mode,"|".join(r))
